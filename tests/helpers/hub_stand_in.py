"""A local server that answers the client of the Hugging Face hub, with repositories of plain files in memory."""

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """Answers for repositories of models, `server.repositories` `{name: {path: bytes}}`."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        owner_and_name = "/".join(self.path.split("/")[3:5])
        if self.headers.get("Authorization") != "Bearer mine":
            return self.answer(401, {"error": "Invalid credentials"})
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'me'}/{asked['name']}"
            self.server.repositories.setdefault(name, {})
            return self.answer(200, {"url": f"{self.server.url}/{name}", "id": name})
        if self.path == "/api/validate-yaml":
            return self.answer(200, {"warnings": [], "errors": []})
        if "/preupload/" in self.path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(body)["files"]
            ]
            return self.answer(200, {"files": files})
        if "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.repositories[owner_and_name][line["value"]["path"]] = content
            return self.answer(
                200, {"commitUrl": f"{self.server.url}/{owner_and_name}/commit/{COMMIT}", "commitOid": COMMIT}
            )
        return self.answer(404, {"error": "unknown"})

    def do_GET(self):
        path = self.path.partition("?")[0].split("/")
        if path[1] == "api":
            files = self.server.repositories.get("/".join(path[3:5]))
            if files is None:
                return self.answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            if path[5:6] == ["tree"]:
                tree = [{"type": "file", "path": name, "size": len(x), "oid": COMMIT} for name, x in files.items()]
                return self.answer(200, tree)
            siblings = [{"rfilename": name} for name in sorted(files)]
            return self.answer(
                200, {"id": "/".join(path[3:5]), "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            )
        files = self.server.repositories.get("/".join(path[1:3]), {})
        name = "/".join(path[5:])
        if name not in files:
            return self.answer(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        tag = hashlib.sha1(files[name]).hexdigest()
        return self.answer(200, files[name], {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

    do_HEAD = do_GET  # noqa: N815

    def answer(self, status, content, headers=None):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def hub():
    """Serve until the context ends; yield the server with `url` and `repositories`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url, server.repositories = f"http://127.0.0.1:{server.server_port}", {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
