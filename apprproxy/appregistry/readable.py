"""An entry of a list as every client can read it. Pure.

In a merged list an entry that a client fails at costs it the lists of all members, and one with a line break in it is
a row that no member sent. The genuine ``appr`` needs ``default`` and ``manifests`` of each, as all known servers send
them.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


_NEEDED: Mapping[str, tuple[Callable[[Any], bool], bytes]] = {"default": (_text, b'""'), "manifests": (_texts, b"[]")}
"""What it is, and what stands there where an upstream says nothing that is."""


def readable(package: Mapping[str, Any], raw: bytes) -> bytes:
    """``raw``, in nearly every case: else with what it lacks; or, where that is there and is something else, no more
    than what has been checked. Text that cannot be seen as it is, such as a line break, is not in it."""
    fit = package
    if any(name in fit and not is_one(fit[name]) for name, (is_one, _) in _NEEDED.items()):
        fit = {name: fit[name] for name in ("name", "releases") if name in fit}
    if not all(map(_seen, fit.values())):
        fit = {name: _what_is_seen(value) for name, value in fit.items()}
    if fit is not package:
        raw = json.dumps(fit).encode()
    lacks = [b',"%s":%s' % (name.encode(), none) for name, (_, none) in _NEEDED.items() if name not in fit]
    return raw[:-1] + b"".join(lacks) + b"}" if lacks else raw


def _seen(value: Any) -> bool:
    if isinstance(value, list):
        return all(one.isprintable() for one in value if isinstance(one, str))
    return not isinstance(value, str) or value.isprintable()


def _what_is_seen(value: Any) -> Any:
    if isinstance(value, list):
        return [one for one in value if _seen(one)]
    return value if _seen(value) else ""
