"""A reverse proxy that shows a server below a path and cuts that off, as nginx does with `proxy_pass http://host/`."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HOP = {"connection", "content-length", "accept-encoding", "transfer-encoding"}  # headers of one connection


@contextmanager
def proxied(target: str, path: str) -> Iterator[str]:
    """The address below which `target` is shown; nothing else is there."""

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            if not self.path.startswith(f"{path}/"):
                return self.send_error(404)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP}
            request = urllib.request.Request(
                f"{target}{self.path.removeprefix(path)}", body, headers, method=self.command
            )
            try:
                answer = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                answer = error
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in HOP:
                    self.send_header(name, value)
            self.end_headers()
            try:
                while piece := answer.read1():
                    self.wfile.write(piece)
            except OSError:  # the page was closed
                pass

        do_GET = do_HEAD = do_POST = _pass_on  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}{path}/"
    server.shutdown()
    server.server_close()
