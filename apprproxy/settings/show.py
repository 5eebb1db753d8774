"""The effective configuration as YAML, with secrets masked."""

from typing import Any

import yaml
from yarl import URL

from apprproxy.settings.model import Configuration
from apprproxy.settings.protocols import KEYS

MASK = "********"


def effective(settings: Configuration) -> str:
    """What is in force, defaults included."""
    document: dict[str, Any] = settings.model_dump(mode="json")
    for name, upstream in document["upstreams"].items():
        model = settings.upstreams[name]
        upstream["moved"], upstream["gone"] = model.moves, model.goes
        upstream["prefix"] = model.full_prefix if KEYS[model.kind].prefix else None
        if upstream["auth"] and upstream["auth"].get("password"):
            upstream["auth"]["password"] = MASK
        upstream["proxy"] = _masked(model.proxy)
        upstream["mirrors"] = [mirror.model_dump(mode="json") for mirror in model.full_mirrors]
        for mirror in upstream["mirrors"]:
            mirror["proxy"] = _masked(mirror["proxy"])
    return yaml.safe_dump(_without_none(document), sort_keys=False, allow_unicode=True)


def _masked(proxy: str | None) -> str | None:
    return str(URL(proxy).with_password(MASK)) if proxy and URL(proxy).password else proxy


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_none(inner) for inner in value]
    return value
