"""A server's doorstep: every request and answer passes it, and a test says whether they pass, wait or are falsified."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

_HOPS = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_DIGESTS = ("/blobs/", "/manifests/sha256:", "/pull")
STALL = 30  # seconds, after which even a stalled answer is none


class Between:
    """`how` is `honestly`, `stalls`, `lies` or `says only names`; `asked` are paths, each with its method before it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.url = ""
        self.how = "honestly"
        self.asked: list[str] = []
        self.ended = Event()

    @contextmanager
    def doing(self, how: str) -> Iterator[None]:
        self.how = how
        try:
            yield
        finally:
            self.how = "honestly"

    def falsified(self, path: str, body: bytes) -> bytes:
        """Bytes that are named by a digest are others of the same length; a list or a document is a page, or a list of
        packages without all else."""
        if self.how == "says only names":
            return json.dumps([{"name": package["name"]} for package in json.loads(body)]).encode()
        if any(part in path for part in _DIGESTS):
            return body[:-1] + bytes([body[-1] ^ 1]) if body else body
        return b"<html>Welcome!</html>"


@contextmanager
def between(host: str) -> Iterator[Between]:
    doorstep = Between(host)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            doorstep.asked.append(f"{self.command} {self.path}")
            if doorstep.how == "stalls":
                doorstep.ended.wait(STALL)
                self.close_connection = True
                return
            with suppress(OSError, HTTPException), closing(HTTPConnection(doorstep.host, timeout=10)) as server:
                server.request(self.command, self.path, headers=dict(self.headers))
                with server.getresponse() as answer:
                    self._pass_on(answer.status, answer.getheaders(), answer.read())
                return
            self.close_connection = True

        do_HEAD = do_GET  # noqa: N815 — the name that http.server looks for

        def _pass_on(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
            length = next((value for name, value in headers if name.lower() == "content-length"), str(len(body)))
            if self.command != "HEAD":
                if doorstep.how != "honestly" and status == 200:
                    body = doorstep.falsified(self.path, body)
                length = str(len(body))
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in _HOPS:
                    self.send_header(name, value)
            self.send_header("Content-Length", length)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — as it is declared there
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # a connection that is kept open must not keep the test

    with Server(("127.0.0.1", 0), Handler) as server:
        doorstep.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.05,), name="between")
        thread.start()
        try:
            yield doorstep
        finally:
            doorstep.ended.set()
            server.shutdown()
            thread.join(10)
