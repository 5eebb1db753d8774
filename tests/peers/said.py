"""What a server answers to a plain request, for what no client shows."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any


@dataclass(frozen=True, slots=True)
class Said:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def say(host: str, path: str, **headers: str) -> Said:
    with closing(HTTPConnection(host, timeout=30)) as connection:
        connection.request("GET", path, headers=headers)
        with connection.getresponse() as answer:
            return Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
