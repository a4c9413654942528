"""A web server on this machine that misbehaves in the ways that a script tells it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one request gets.

    `body` is the whole file; `length` is announced instead of the true one (-1: none, the end of
    the connection ends the file); only `sent` bytes of what was asked for are sent, one by one
    with `pause` seconds between where that is positive. `ranges` says whether Range is heeded.
    """

    body: bytes = b""
    status: int = 200
    length: int | None = None
    sent: int | None = None
    pause: float = 0.0
    ranges: bool = True
    etag: str = ""
    modified: str = ""
    kind: str = "application/octet-stream"
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False  # before any answer
    chunked: bool = False
    if_range: bool = True  # heeded


@dataclass(kw_only=True)
class Server:
    """The script, one answer a request (the last for all others), and what was asked."""

    address: str
    script: list[Answer] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    during: Callable[[], None] | None = None  # called when the head of an answer is out

    def url(self, name: str = "file.bin") -> str:
        return f"{self.address}/{name}"

    def next(self) -> Answer:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    @property
    def ranges(self) -> list[str]:
        """The Range of each request, empty where it had none."""
        return [headers.get("Range", "") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    told: Server

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def do_GET(self) -> None:
        self.told.asked.append({**dict(self.headers.items()), ":path": self.path})
        answer = self.told.next()
        self.close_connection = True
        if answer.hang_up:
            self.connection.close()
            return
        try:
            self._answer(answer)
        except (BrokenPipeError, ConnectionResetError):
            return  # the client has had enough, which some tests are about

    def _answer(self, answer: Answer) -> None:
        start, status = self._range(answer)
        body = answer.body[start:]
        self.send_response(status)
        self.send_header("Content-Type", answer.kind)
        if status == 206:
            all_ = len(answer.body)
            self.send_header("Content-Range", f"bytes {start}-{all_ - 1}/{all_}")
        if answer.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif answer.length != -1:
            length = len(body) if answer.length is None else answer.length
            self.send_header("Content-Length", str(length))
        for name, value in (("ETag", answer.etag), ("Last-Modified", answer.modified)):
            if value:
                self.send_header(name, value)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.told.during is not None:
            self.told.during()
        self._send(answer, body if answer.sent is None else body[: answer.sent])

    def _range(self, answer: Answer) -> tuple[int, int]:
        asked = self.headers.get("Range", "")
        if answer.status != 200 or not asked or not answer.ranges:
            return 0, answer.status
        named = self.headers.get("If-Range")
        if answer.if_range and named is not None and named not in (answer.etag, answer.modified):
            return 0, 200
        start = int(asked.removeprefix("bytes=").rstrip("-"))
        return (start, 206) if start < len(answer.body) else (len(answer.body), 416)

    def _send(self, answer: Answer, body: bytes) -> None:
        if answer.chunked:
            whole = answer.sent is None
            self.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n")
            self.wfile.write(b"0\r\n\r\n" if whole else b"")
        elif answer.pause:
            for byte in body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(answer.pause)
        else:
            self.wfile.write(body)


@contextmanager
def serving(*script: Answer) -> Iterator[Server]:
    """Serve a script on a free port of 127.0.0.1 until the block ends."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        http.block_on_close = False
        server = Server(address=f"http://127.0.0.1:{http.server_port}", script=list(script))
        handler.told = server  # type: ignore[attr-defined]
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
