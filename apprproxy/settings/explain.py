"""What is wrong with a configuration, in the words of an operator: a line a fault, begun with the path of its key."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from apprproxy.settings.planned import planned
from apprproxy.settings.suggest import known, required, sectional, suggestion
from apprproxy.settings.upstream import HALF_ACCOUNT

_SECTION = "must be a section of keys and values"
_WORDS = {
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "dict_type": _SECTION,
    "int_from_float": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "list_type": "must be a list: put it in brackets",
    "missing": "is missing",
    "model_attributes_type": _SECTION,
    "model_type": _SECTION,
    "path_type": "must be a path",
    "string_too_short": "must not be empty",
    "string_type": "must be text; put a number in quotes",
    "too_short": "must not be empty",
}


def explain(
    error: ValidationError,
    model: type[BaseModel],
    variables: Mapping[str, str],
    upstreams: Collection[str],
    told: Collection[str],
) -> list[str]:
    """``model`` is what was wanted. ``variables`` are those of the environment by the path of their key, to say which
    of them to look at; ``upstreams`` are those of the file; of the paths that were ``told`` nothing more is said."""
    lines = []
    for fault in error.errors(include_url=False):
        path = _path(fault["loc"])
        if path in told:
            continue
        message = _message(path, fault, model)
        line = f"{path}: {message}" if path and not message.startswith(path) else message
        missing = fault["type"] == "missing"
        lines.append(line + (_begun_by(fault, variables, upstreams) if missing else _given_by(path, variables)))
    return list(dict.fromkeys(lines))


def empties(content: Any, model: type[BaseModel], above: tuple[int | str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Path and fault of each key that has no value. To the model it would be as if it were not there: plain http where
    somebody had begun to write ``tls``."""
    parts = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for part, value in parts:
        location = (*above, part)
        if value is None and known(model, location):
            yield _path(location), _empty(section=sectional(model, location))
        yield from empties(value, model, location)


def _empty(*, section: bool) -> str:
    return f"is empty; give it a {'key' if section else 'value'}, or leave it out"


def _path(location: tuple[int | str, ...]) -> str:
    """``upstreams.quay.io.fresh_for``; what pydantic adds to it is in brackets, which no key has."""
    return ".".join(str(part) for part in location if not str(part).startswith("["))


def _message(path: str, fault: ErrorDetails, model: type[BaseModel]) -> str:
    """Never with the value, which may be a secret, unless the rule that was broken says it."""
    kind, facts = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        feature = planned(path)
        return f"is not built yet: {feature}" if feature else _no_such_key(fault, model)
    if fault["input"] is None and kind in _WORDS:
        return _empty(section=_WORDS[kind] == _SECTION)
    if kind == HALF_ACCOUNT:
        return f"{fault['msg']} {variable_of(*map(str, fault['loc']), 'password')}"
    if _WORDS.get(kind) == _SECTION and (keys := required(model, _written(fault))):
        return f"{_SECTION}, such as {{{', '.join(f'{key}: …' for key in keys)}}}"
    return _WORDS.get(kind) or _bound(kind, facts) or fault["msg"].removeprefix("Value error, ")


def _no_such_key(fault: ErrorDetails, model: type[BaseModel]) -> str:
    return f"there is no such key{suggestion(model, _written(fault))}"


def _written(fault: ErrorDetails) -> tuple[int | str, ...]:
    """Where it is, without what pydantic adds."""
    return tuple(part for part in fault["loc"] if not str(part).startswith("["))


def variable_of(*path: str) -> str:
    """The variable that sets a key, and how, where a shell cannot."""
    name = f"APPRPROXY_{'__'.join(path).upper()}"
    return name if name.isidentifier() else f"{name} (which no shell exports: env '{name}=…' apprproxy …)"


def _bound(kind: str, facts: dict[str, Any]) -> str | None:
    match kind:
        case "greater_than_equal":
            return f"must be {facts['ge']} or more"
        case "less_than_equal":
            return f"must be {facts['le']} or less"
        case "literal_error":
            return f"must be {facts['expected']}"
        case _:
            return None


def _given_by(path: str, variables: Mapping[str, str]) -> str:
    given = [variable for key, variable in variables.items() if key == path or key.startswith(f"{path}.")]
    return f" (in the environment: {', '.join(given)})" if path and given else ""


def _begun_by(fault: ErrorDetails, variables: Mapping[str, str], upstreams: Collection[str]) -> str:
    """Where a key is missing: the variables that alone made the section, and an upstream that they may have meant. A
    shell has no dots in its names."""
    *above, _ = fault["loc"]
    section = ".".join(str(part) for part in above)
    keys = [f"{section}.{key}" for key in fault["input"]] if isinstance(fault["input"], dict) else []
    if not keys or not all(_given_by(key, variables) for key in keys):
        return ""
    meant = get_close_matches(str(above[-1]), upstreams, 1) if above[0] == "upstreams" and len(above) == 2 else []
    given = _given_by(section, variables).removesuffix(")")
    return given + (f"; did you mean APPRPROXY_UPSTREAMS__{meant[0].upper()}__…?)" if meant else ")")
