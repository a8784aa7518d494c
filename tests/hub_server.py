"""The Hugging Face Hub in small, on loopback: as much of its protocol as the real client speaks, and its failures.

Files of LFS_SUFFIXES are served as the Hub serves large files: by a redirect to another host, with X-Linked-Etag and
X-Linked-Size, in ranges if asked. Everything else of `/resolve/` comes at once.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

LFS_SUFFIXES = (".pth", ".safetensors")
Files = dict[str, bytes]
UseHub = Callable[[str], None]
"""Makes the client of this process take the Hub with that address."""


@dataclass
class Repository:
    """A repository's commits by their hash, and its branches and tags."""

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    """Of a Space."""

    def commit(self, files: Files, *refs: str) -> str:
        """A new state of the repository; moves the branch `main` and `refs` there."""
        names = "".join(f"{name}{hashlib.sha1(content).hexdigest()}" for name, content in sorted(files.items()))
        sha = hashlib.sha1(f"{len(self.commits)}{names}".encode()).hexdigest()
        self.commits[sha] = files
        self.refs |= dict.fromkeys(["main", *refs], sha)
        return sha

    @property
    def files(self) -> Files:
        return self.commits[self.refs["main"]]


@dataclass
class Hub:
    """The server's state: what it has, who may write, what was asked, and how it fails."""

    url: str = ""
    cdn: str = ""
    """Where large files are, by another name of the same host, so that a token sent there would be a leak."""
    repositories: dict[str, Repository] = field(default_factory=dict)
    """By id; those of Spaces with `spaces/` before it, of datasets with `datasets/`."""
    token: str = "hf_right"
    objects: dict[str, bytes] = field(default_factory=dict)
    """Large files by SHA-256."""
    requests: list[str] = field(default_factory=list)
    """Method and path of each."""
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """The Authorization headers that came, by the host they were sent to."""
    sent: int = 0
    """Bytes of all bodies."""
    error: int = 0
    """Answer everything with this status."""
    cut: int | None = None
    """Break a large file's connection after so many bytes, each time."""
    drip: Callable[[], None] | None = None
    """Called after every 4 KB of a large file; it may sleep or stop the cutting."""

    def add(self, name: str, files: Files, *refs: str) -> Repository:
        repository = self.repositories.setdefault(name, Repository())
        repository.commit(files, *refs)
        self.objects |= {hashlib.sha256(content).hexdigest(): content for content in files.values()}
        return repository

    def count(self, method: str, part: str = "") -> int:
        """How many requests of that method had `part` in their path."""
        return sum(request.startswith(f"{method} ") and part in request for request in self.requests)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def handle_request(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self._chunks() if self.headers.get("Transfer-Encoding") == "chunked" else self.rfile.read(length)
        self.authorised = self.headers.get("Authorization") == f"Bearer {self.hub.token}"
        host = f"http://{self.headers['Host']}"
        self.hub.tokens.setdefault(host, set()).add(self.headers.get("Authorization", ""))
        url = urlsplit(self.path)
        self.query = parse_qs(url.query)
        if self.hub.error:
            return self.answer(b"", self.hub.error)
        for methods, pattern, route in ROUTES:
            found = re.fullmatch(pattern, unquote(url.path))
            if found and self.command in methods:
                return route(self, **found.groupdict())
        return self.answer(b"", 404)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request  # noqa: N815

    # --- reading ----------------------------------------------------------------------------------------------------

    def readable(self, name: str) -> Repository | None:
        """The repository, or None after the Hub's answer to those who may not know of it."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.authorised):
            status, code = (404 if self.authorised else 401), "RepoNotFound"
        elif repository.gated and not self.authorised:
            status, code = 403, "GatedRepo"
        else:
            return repository
        self.answer(b"", status, {"X-Error-Code": code})
        return None

    def info(self, kind: str, name: str, revision: str = "main") -> None:
        if (repository := self.readable(("" if kind == "models" else f"{kind}/") + name)) is None:
            return
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            return self.answer(b"", 404, {"X-Error-Code": "RevisionNotFound"})
        siblings = [
            {"rfilename": path} | ({"size": len(content)} if "blobs" in self.query else {})
            for path, content in repository.commits[sha].items()
        ]
        self.json({"id": name, "sha": sha, "private": repository.private, "tags": [], "siblings": siblings})

    def tree(self, name: str, revision: str) -> None:
        """Of a dataset."""
        if repository := self.readable(f"datasets/{name}"):
            files = repository.commits[revision].items()
            self.json([{"type": "file", "path": path, "size": len(content), "oid": "0"} for path, content in files])

    def resolve(self, name: str, revision: str, path: str) -> None:
        if (repository := self.readable(name)) is None:
            return
        sha = repository.refs.get(revision, revision)
        commit = {"X-Repo-Commit": sha}
        if sha not in repository.commits:
            return self.answer(b"", 404, {"X-Error-Code": "RevisionNotFound"})
        if path not in repository.commits[sha]:
            return self.answer(b"", 404, commit | {"X-Error-Code": "EntryNotFound"})
        content = repository.commits[sha][path]
        if not path.endswith(LFS_SUFFIXES):
            return self.answer(content, headers=commit | {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'})
        oid = hashlib.sha256(content).hexdigest()
        linked = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        self.answer(b"", 302, commit | linked | {"Location": f"{self.hub.cdn}/cdn/{oid}"})

    def cdn(self, oid: str) -> None:
        content = self.hub.objects[oid]
        start = int(re.findall(r"bytes=(\d+)-", self.headers.get("Range", "bytes=0-"))[0])
        part = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{oid}"')
        self.send_header("Content-Length", str(len(part)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cut = self.hub.cut
        part = part[:cut]
        for position in range(0, len(part) if self.command == "GET" else 0, 4096):
            self.send(part[position : position + 4096])
            if self.hub.drip:
                self.hub.drip()
        self.close_connection = cut is not None

    # --- writing ----------------------------------------------------------------------------------------------------

    def writable(self) -> bool:
        if not self.authorised:
            self.answer(b"", 401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        return self.authorised

    def create(self) -> None:
        wanted = json.loads(self.body)
        kind = "spaces/" if wanted.get("type") == "space" else ""
        name = f"{wanted['organization']}/{wanted['name']}"
        if self.writable():
            known = kind + name in self.hub.repositories
            if not known:
                self.hub.add(kind + name, {".gitattributes": b"*.pth filter=lfs\n"})
                self.hub.repositories[kind + name].private = bool(
                    wanted.get("private") or wanted.get("visibility") == "private"
                )
            self.json({"url": f"{self.hub.url}/{kind}{name}"}, 409 if known else 200)

    def validate_yaml(self) -> None:
        """Front matter must be a YAML mapping; the Hub looks closer."""
        text = json.loads(self.body)["content"].split("---\n")
        good = len(text) > 2 and isinstance(yaml.safe_load(text[1]), dict)
        self.json({"warnings": [], "errors": [] if good else [{"message": "no metadata"}]}, 200 if good else 400)

    def preupload(self, kind: str, name: str, revision: str) -> None:
        asked = json.loads(self.body)["files"]
        modes = {file["path"]: "lfs" if file["path"].endswith(LFS_SUFFIXES) else "regular" for file in asked}
        if self.writable():
            self.json({"files": [{"path": k, "uploadMode": v, "shouldIgnore": False} for k, v in modes.items()]})

    def lfs_batch(self, name: str) -> None:
        objects = [
            {**item, "actions": {"upload": {"href": f"{self.hub.url}/lfs/{item['oid']}"}}}
            for item in json.loads(self.body)["objects"]
        ]
        if self.writable():
            self.json({"transfer": "basic", "objects": objects})

    def lfs_upload(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.objects[oid] = self.body
        self.answer(b"")

    def commit(self, kind: str, name: str, revision: str) -> None:
        if not self.writable():
            return
        repository = self.hub.repositories[("spaces/" if kind == "spaces" else "") + name]
        files = dict(repository.files)
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(files)
        self.json({"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha})

    def variable(self, name: str) -> None:
        item = json.loads(self.body)
        if self.writable():
            self.hub.repositories[f"spaces/{name}"].variables[item["key"]] = item["value"]
            self.json({})

    # --- bytes ------------------------------------------------------------------------------------------------------

    def json(self, thing: Any, status: int = 200) -> None:
        self.answer(json.dumps(thing).encode(), status, {"Content-Type": "application/json"})

    def answer(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.send(content)

    def send(self, content: bytes) -> None:
        self.wfile.write(content)
        self.hub.sent += len(content)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def log_message(self, *_: object) -> None:
        pass


NAME = r"(?P<name>[\w.-]+/[\w.-]+)"
ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", rf"/api/(?P<kind>models|spaces|datasets)/{NAME}(/revision/(?P<revision>.+))?",
        lambda self, revision, **rest: self.info(revision=revision or "main", **rest)),
    ("GET", rf"/api/datasets/{NAME}/tree/(?P<revision>.+)", Handler.tree),
    ("GET HEAD", rf"/{NAME}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
    ("GET HEAD", r"/(?P<name>datasets/[\w.-]+/[\w.-]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
    ("GET HEAD", r"/cdn/(?P<oid>\w+)", Handler.cdn),
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate_yaml),
    ("POST", rf"/api/(?P<kind>models|spaces)/{NAME}/preupload/(?P<revision>.+)", Handler.preupload),
    ("POST", rf"/(spaces/)?{NAME}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", Handler.lfs_upload),
    ("POST", rf"/api/(?P<kind>models|spaces)/{NAME}/commit/(?P<revision>.+)", Handler.commit),
    ("POST", rf"/api/spaces/{NAME}/variables", Handler.variable),
]  # fmt: skip


@contextmanager
def hub_server() -> Iterator[Hub]:
    """An empty Hub that listens on loopback as long as the block lasts."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    hub.url, hub.cdn = (f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost"))
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
