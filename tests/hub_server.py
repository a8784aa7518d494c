"""A Hugging Face Hub in small, on loopback, that the real client can download from."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def tree_entry(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"type": "file", "path": path.name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}


@contextmanager
def hub_server(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A loopback server with one repository, shoes/model, of `folder`'s files; yields its address and the requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            asked.append(self.path)
            name = self.path.rpartition("/")[2]
            if self.path.startswith("/api/models/shoes/model/revision/"):
                siblings = [{"rfilename": path.name} for path in folder.iterdir()]
                self.answer(json.dumps({"id": "shoes/model", "sha": COMMIT, "siblings": siblings}).encode())
            elif self.path.startswith(f"/api/models/shoes/model/tree/{COMMIT}"):
                self.answer(json.dumps([tree_entry(path) for path in folder.iterdir()]).encode())
            elif self.path.startswith("/shoes/model/resolve/") and (folder / name).is_file():
                self.answer((folder / name).read_bytes())
            else:
                self.answer(b"", 404, {"X-Error-Code": "RepoNotFound"})

        def answer(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            etag = hashlib.sha256(content).hexdigest()
            base = {"Content-Length": str(len(content)), "ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}
            for key, value in {**base, **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
