"""The one end point of Quay's App Registry that no server one can install has: login; it keeps what it was told."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

USER, PASSWORD = "bob", "secret"
TOKEN = f"basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class Told:
    method: str
    path: str
    authorization: str | None
    body: bytes


@dataclass(slots=True)
class Quay:
    """Anonymous access is switched off."""

    url: str
    told: list[Told] = field(default_factory=list)


def _answer(told: Told) -> tuple[int, dict[str, Any]]:
    if told.path == "/cnr/api/v1/users/login":
        given = json.loads(told.body)["user"]
        if (USER, PASSWORD) == (given["username"], given["password"]):
            return 200, {"token": TOKEN}
        return 401, {"error": {"code": "unauthorized-access", "message": "Invalid username or password", "details": {}}}
    if told.authorization != TOKEN:
        return 401, {"error": "Anonymous access is not allowed"}
    return 200, {"status": "ok"}


@contextmanager
def quay() -> Iterator[Quay]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            told = Told(self.command, self.path.partition("?")[0], self.headers.get("Authorization"), body)
            running.told.append(told)
            status, document = _answer(told)
            answer = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815 — the name that http.server looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — as it is declared there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running = Quay(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.05,), name="quay")
        thread.start()
        try:
            yield running
        finally:
            server.shutdown()
            thread.join(10)
