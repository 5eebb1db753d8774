"""Which key somebody may have meant who wrote one that there is not."""

import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

_UNIONS = (Union, types.UnionType)
_FEW = 12
"""Keys that are told where nothing like it is among them."""
_SAME = {
    "address": "listen",
    "bind": "listen",
    "expires": "fresh_for",
    "host": "listen",
    "insecure": "verify",
    "port": "listen",
    "size": "max_size",
    "ttl": "fresh_for",
    "user": "username",
}
"""Words that others have for it."""
_ALIKE = 0.75
"""Of whole names: there are few, and most are short."""


def suggestion(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """What may stand there in place of the last part of the location; empty where nothing is known."""
    keys, given = list(_keys(model, location[:-1])), str(location[-1]).lower()
    begun = [key for key in keys if len(given) > 2 and key.startswith(given)]
    alike = [*(one for one in (_SAME.get(given),) if one in keys), *get_close_matches(given, keys, 1), *begun]
    if alike:
        return f"; did you mean {alike[0]}?"
    return f"; there are {', '.join(keys)}" if 0 < len(keys) <= _FEW else ""


def required(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The keys that the section there must have."""
    return [key for key, field in _keys(model, location).items() if field.is_required()]


def known(model: type[BaseModel], location: tuple[int | str, ...]) -> bool:
    """Is there such a key? In a list or where names are given, everything is one."""
    keys = _keys(model, location[:-1])
    return not keys or location[-1] in keys


def sectional(model: type[BaseModel], location: tuple[int | str, ...]) -> bool:
    """Do keys stand there, rather than a value?"""
    kind = _kind(model, location)
    return _is_section(kind) or get_origin(kind) is dict


def meant(model: type[BaseModel], path: str) -> str:
    """The path of a key, as a variable has it, for one that begins with no section's name; empty where none is like
    it."""
    keys = _keys(model, ())
    for section in keys:
        rest = path.removeprefix(section).lstrip("_")
        if path.startswith(section) and rest in _keys(model, (section,)):
            return f"{section}__{rest}"
    return next(iter(get_close_matches(path, keys, 1, _ALIKE)), "")


def _keys(model: type[BaseModel], location: tuple[int | str, ...]) -> Mapping[str, FieldInfo]:
    """Of the section there, none where it is no section."""
    kind = _kind(model, location)
    return kind.model_fields if _is_section(kind) else {}


def _kind(model: type[BaseModel], location: tuple[int | str, ...]) -> Any:
    kind: Any = model
    for part in location:
        kind = _within(_plain(kind), part)
    return _plain(kind)


def _within(kind: Any, part: int | str) -> Any:
    if _is_section(kind):
        field = kind.model_fields.get(part)
        return field.annotation if field is not None else None
    return get_args(kind)[-1] if get_origin(kind) in (dict, list) else None


def _plain(kind: Any) -> Any:
    """Without what is said about it, and without that it may be left out."""
    while get_origin(kind) is Annotated or get_origin(kind) in _UNIONS:
        kind = next((one for one in get_args(kind) if one is not type(None)), None)
    return kind


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
