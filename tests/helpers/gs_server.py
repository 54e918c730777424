"""A local server for the parts of Google Cloud Storage's JSON API that read and fill a bucket."""

import hashlib
import json
import re
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Buckets = defaultdict[str, dict[str, bytes]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, buckets: Buckets, *arguments: Any) -> None:
        self.buckets = buckets
        super().__init__(*arguments)

    def do_GET(self) -> None:
        name, key, query = self._asked()
        bucket = self.buckets[name]
        if key is not None and key not in bucket:
            self._answer(404, {"error": {"code": 404, "message": f"No such object: {name}/{key}"}})
        elif key is None:
            self._answer(200, _listing(name, bucket, query.get("prefix", ""), query.get("delimiter")))
        elif query.get("alt") == "media":
            self._send(bucket[key])
        else:
            self._answer(200, _about(name, key, bucket[key]))

    def do_POST(self) -> None:
        name, _, _ = self._asked()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        about, content = (part.partition(b"\n\n")[2] for part in body.split(b"--==0==", 2)[1:])
        key = json.loads(about)["name"]
        self.buckets[name][key] = content.removesuffix(b"\n--==0==--")
        self._answer(200, _about(name, key, self.buckets[name][key]))

    def do_DELETE(self) -> None:
        name, key, _ = self._asked()
        del self.buckets[name][str(key)]
        self._answer(200, {})

    def _asked(self) -> tuple[str, str | None, dict[str, str]]:
        url = urlsplit(self.path)
        name, _, key = url.path.partition("/b/")[2].partition("/o")
        query = {key: value for key, (value, *_) in parse_qs(url.query).items()}
        return name, unquote(key[1:]) if key else None, query

    def _send(self, content: bytes) -> None:
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        first, last = (int(part[1]), int(part[2] or len(content) - 1)) if part else (0, len(content) - 1)
        self._answer(206 if part else 200, content[first : last + 1])

    def _answer(self, status: int, body: Any) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream" if body is content else "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def _about(bucket: str, key: str, content: bytes) -> dict[str, Any]:
    digest = b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    return {"kind": "storage#object", "bucket": bucket, "name": key, "size": str(len(content)), "md5Hash": digest}


def _listing(name: str, bucket: dict[str, bytes], prefix: str, delimiter: str | None) -> dict[str, Any]:
    items, prefixes = [], set()
    for key in sorted(bucket):
        if not key.startswith(prefix):
            continue
        below, cut, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
        if cut:
            prefixes.add(prefix + below + cut)
        else:
            items.append(_about(name, key, bucket[key]))
    return {"kind": "storage#objects", "items": items, "prefixes": sorted(prefixes)}


@contextmanager
def gs_server() -> Iterator[str]:
    """Serve buckets from memory, of any name; yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, defaultdict(dict))) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
