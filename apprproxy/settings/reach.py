"""How a place is reached: what an upstream and its mirrors have in common."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from yarl import URL

from apprproxy.settings.fields import Section, not_http


class ClientTls(Section):
    ca_file: Path | None = None
    verify: bool = True
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


def _prefix(prefix: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", prefix):
        raise ValueError("write a path such as /cnr, or nothing between quotes for none")
    return prefix


def _proxy(proxy: str) -> str:
    try:
        url = URL(proxy)
    except IndexError:  # the library's, of //[]@
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(not_http(proxy, "http"))
    return proxy


Prefix = Annotated[str, AfterValidator(_prefix)]
Proxy = Annotated[str, AfterValidator(_proxy)]
Connections = Annotated[int, Field(ge=1, le=10_000)]
DEFAULT_PREFIX = "/cnr"
"""Where the genuine App Registry servers answer."""
