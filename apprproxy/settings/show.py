"""The effective configuration as YAML, with secrets masked."""

from typing import Any

import yaml
from yarl import URL

from apprproxy.settings.model import Configuration

MASK = "********"


def effective(settings: Configuration) -> str:
    """What is in force, defaults included."""
    document: dict[str, Any] = settings.model_dump(mode="json")
    for name, upstream in document["upstreams"].items():
        model = settings.upstreams[name]
        upstream["moved"], upstream["gone"] = model.moves, model.goes
        if model.kind != "appr":
            del upstream["prefix"]
        elif model.prefix is None:
            upstream["prefix"] = "/cnr"
        if upstream["auth"] and upstream["auth"].get("password"):
            upstream["auth"]["password"] = MASK
        if model.proxy and URL(model.proxy).password:
            upstream["proxy"] = str(URL(model.proxy).with_password(MASK))
    return yaml.safe_dump(_without_none(document), sort_keys=False, allow_unicode=True)


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return value
