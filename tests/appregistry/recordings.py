"""Exchanges recorded of the genuine appr-server, and the state it was in at each of them (tests/data/README.md)."""

import base64
import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.appregistry.registry import LONG_AGO, Answer, Registry, as_json

_FILE = Path(__file__).parents[1] / "data" / "app-registry-exchanges.json"
_EXACT = re.compile(r"\d+\.\d+\.\d+(?:[-+].*)?|default")

ALTERED = {124, 125}
"""Before these reads somebody had altered the blob on the server's disk, and put it back afterwards."""


@dataclass(frozen=True)
class Exchange:
    number: int
    method: str
    path: str
    status: int
    content_type: str
    disposition: str | None
    json: Any
    binary: Mapping[str, Any] | None
    sent: Mapping[str, Any]
    cut: str | None

    @property
    def reads(self) -> bool:
        return self.method in ("GET", "HEAD")


@cache
def exchanges() -> tuple[Exchange, ...]:
    return tuple(
        Exchange(
            one["n"],
            one["method"],
            one["path"],
            one["status"],
            one["type"],
            one.get("disposition"),
            one.get("json"),
            one.get("binary"),
            one.get("sent", {}),
            one.get("cut"),
        )
        for one in _document()["exchanges"]
    )


def state_before(number: int) -> Registry:
    """The server as it was when this exchange came."""
    registry = _empty(number)
    for exchange in exchanges()[: number - 1]:
        if not exchange.reads and exchange.status == 200:
            _write(registry, exchange)
    if number in ALTERED:
        digest = "9f9f232ca55c4c450e4cfe6ff47645ddd5ca76e2ee6dbccc70e0086d4fd30df8"
        registry.blobs["alice/nginx", digest] = archive(exchanges()[124].json["blob"])
    return registry


def archive(name: str) -> bytes:
    content: str = _document()["archives"][name.removeprefix("archive:")]
    return base64.b64decode(content)


def named_archives(document: Any) -> Any:
    """The document with the name of the archive where its ``blob`` is one that was recorded."""
    if not isinstance(document, dict) or "blob" not in document:
        return document
    names = {content: f"archive:{name}" for name, content in _document()["archives"].items()}
    return {**document, "blob": names.get(document["blob"], document["blob"])}


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_FILE.read_text())
    return document


def _empty(number: int) -> Registry:
    seen: dict[str, int] = {}

    def created_at(name: str) -> str:
        times: list[str] = _document()["created_at"].get(name, [LONG_AGO])
        seen[name] = seen.get(name, 0) + 1
        return times[min(seen[name], len(times)) - 1]

    return Registry(created_at, _resolved())


@cache
def _resolved() -> dict[tuple[str, str], str | Answer]:
    """Where ranges led, and what was said to what is no range."""
    found: dict[tuple[str, str], str | Answer] = {}
    for exchange in exchanges():
        match unquote(exchange.path).partition("?")[0].split("/"):
            case ["", "cnr", "api", "v1", "packages", namespace, name, release, _, "pull"]:
                if _EXACT.fullmatch(release):
                    continue
                answered = as_json(exchange.json, exchange.status)
                found[f"{namespace}/{name}", release] = exchange.json["release"] if exchange.status == 200 else answered
    return found


def _write(registry: Registry, exchange: Exchange) -> None:
    path, _, _ = exchange.path.partition("?")
    match exchange.method, path.split("/")[5:]:
        case "POST", [namespace, name]:
            _push(registry, f"{namespace}/{name}", exchange)
        case "POST", [namespace, name, "channels", channel, release]:
            registry.set_channel(f"{namespace}/{name}", channel, release)
        case "DELETE", [namespace, name, "channels", channel, release]:
            registry.unset_channel(f"{namespace}/{name}", channel, release)
        case "DELETE", [namespace, name, "channels", channel]:
            del registry.channels[f"{namespace}/{name}"][channel]
        case "DELETE", [namespace, name, release, media_type]:
            registry.delete(f"{namespace}/{name}", release, media_type)
        case "OPTIONS", _:
            pass
        case other:
            raise AssertionError(f"a write that nobody knows: {other}")


def _push(registry: Registry, package: str, exchange: Exchange) -> None:
    sent = exchange.sent
    content = archive(sent["blob"]) if "blob" in sent else _stand_in(sent.get("size", 0))
    media_type = sent.get("media_type", "kpm")
    registry.push(package, sent["release"], media_type, content, sent.get("metadata"), digest=sent.get("digest", ""))


def _stand_in(size: int) -> bytes:
    """For an archive that was not recorded whole: bytes of its size, or any gzip file."""
    return bytes(size) if size else gzip.compress(b"not recorded", mtime=0)


def query_of(exchange: Exchange) -> dict[str, str]:
    return dict(parse_qsl(exchange.path.partition("?")[2]))
