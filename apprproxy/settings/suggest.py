"""Which key somebody may have meant who wrote one that there is not."""

import types
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

_UNIONS = (Union, types.UnionType)


def suggestion(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The key of that section that is most like the last part of the location; empty where none is."""
    kind: Any = model
    for part in location[:-1]:
        kind = _within(_plain(kind), part)
    keys = list(_plain(kind).model_fields) if _is_section(_plain(kind)) else []
    return next(iter(get_close_matches(str(location[-1]).lower(), keys, 1)), "")


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
