"""The demo: draw a sketch and the photo appears under the pen; turn pictures of your own, both ways.

    python app.py [--host HOST] [--port PORT] [--open] [--share] [--weights FOLDER_OR_HUB_ID ...] [--auth USER:PASSWORD]
    CYCLEGAN_AUTH=USER:PASSWORD python app.py   the same as --auth, but nobody reads it in the list of processes

Installed, it is called sketch-photo-demo. Arguments and launch only: the page is in `page`.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

# Read once, when torch loads OpenMP. Threads that spin while they wait for each other take a translation from 25 ms to
# 640 ms as soon as another process uses one of two cores; threads that sleep do not.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from PIL import Image

from cyclegan.demo.stubs import no_stubs
from cyclegan.hub import DEFAULT_FOLDER

log = logging.getLogger("cyclegan.demo")

PORTS_TO_TRY = 100


def free_port(host: str, port: int) -> int:
    """`port`, or the next one on `host` that nobody listens on."""
    for candidate in range(port, min(port + PORTS_TO_TRY, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError:
                continue
            return candidate
    raise SystemExit(f"No free port from {port} on {host}; choose others with --port and --host.")


def port_number(text: str) -> int:
    """For argparse: a TCP port."""
    if text.isascii() and text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"“{text}” is not a port; give --port or GRADIO_SERVER_PORT a number from 1 to 65535."
    )


def main(arguments: list[str] | None = None) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio pings itself as it starts
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # cyclegan.images refuses such pictures
    environment = os.environ.get
    parser = argparse.ArgumentParser(description="Draw a sketch and see the photo, in the browser.")
    parser.add_argument("--host", default=environment("GRADIO_SERVER_NAME", "127.0.0.1"), help="default: %(default)s")
    usual = environment("GRADIO_SERVER_PORT", "7860" if "SPACE_ID" in os.environ else "5000")
    parser.add_argument("--port", type=port_number, default=usual, help="default: %(default)s")
    parser.add_argument(
        "--root-path",
        default=environment("GRADIO_ROOT_PATH", ""),
        metavar="/PATH",
        help="where a reverse proxy shows the page, if that is not the top of its host",
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--share", action="store_true", help="also ask Gradio for a public link")
    parser.add_argument("--mcp", action="store_true", help="also serve MCP tools, at /gradio_api/mcp/")
    parser.add_argument(
        "--weights",
        nargs="+",
        default=[DEFAULT_FOLDER],
        metavar="FOLDER_OR_HUB_ID",
        help="a folder, or owner/name on the Hugging Face Hub; of several, visitors choose one on the page",
    )
    parser.add_argument("--no-openvino", action="store_true", help="translate with PyTorch alone")
    parser.add_argument(
        "--auth",
        metavar="USER:PASSWORD",
        help="let in only those who know this; other users of this machine can read a command line, so better set the"
        " environment variable CYCLEGAN_AUTH=USER:PASSWORD",
    )
    options = parser.parse_args(arguments)
    if options.mcp and not find_spec("mcp"):
        parser.error("--mcp needs a package more: pip install 'cyclegan[mcp]', or -e '.[mcp]' in a checkout")
    given = options.auth if options.auth is not None else os.environ.pop("CYCLEGAN_AUTH", None)
    user, colon, password = (given or "").partition(":")
    if given is not None and not (user and colon and password):  # an empty one must not open the page to everybody
        parser.error("--auth and CYCLEGAN_AUTH take USER:PASSWORD")
    # A folder of its own, whose size the page limits: Gradio's usual one is shared by all its apps on this machine.
    os.environ.setdefault(
        "GRADIO_TEMP_DIR",
        str(Path(tempfile.gettempdir(), f"cyclegan-demo-{os.getuid() if hasattr(os, 'getuid') else ''}")),
    )
    os.environ.pop("GRADIO_SERVER_PORT", None)  # Gradio reads it as it is imported, and fails if it is not a number
    with no_stubs():
        from cyclegan.demo.menu import Menu
        from cyclegan.demo.page import build_demo, launch

    menu = Menu.named(options.weights, compiled=not options.no_openvino)
    port = free_port(options.host, options.port)
    if port != options.port:
        log.warning("Port %d is taken; using %d.", options.port, port)
    demo = build_demo(menu)
    auth = (user, password) if given else None
    root = options.root_path or None
    serving = {"share": options.share, "auth": auth, "inbrowser": options.open, "root_path": root}
    launch(demo, options.host, port, mcp_server=options.mcp, **serving)
