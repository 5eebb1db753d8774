"""An entry of a list as every client can read it. Pure.

In a merged list an entry that a client fails at costs it the lists of all members. The genuine ``appr`` needs
``default`` and ``manifests`` of each, as all known servers send them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


_NEEDED: Mapping[str, tuple[Callable[[Any], bool], bytes]] = {"default": (_text, b'""'), "manifests": (_texts, b"[]")}
"""What it is, and what stands there where an upstream says nothing that is."""


def readable(package: Mapping[str, Any], raw: bytes) -> bytes:
    """``raw``, in nearly every case: else with what it lacks; or, where that is there and is something else, no more
    than what has been checked."""
    if any(name in package and not is_one(package[name]) for name, (is_one, _) in _NEEDED.items()):
        package = {name: package[name] for name in ("name", "releases") if name in package}
        raw = orjson.dumps(package)
    lacks = [b',"%s":%s' % (name.encode(), none) for name, (_, none) in _NEEDED.items() if name not in package]
    return raw[:-1] + b"".join(lacks) + b"}" if lacks else raw
