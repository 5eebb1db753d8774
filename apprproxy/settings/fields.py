"""Kinds of values that several sections use: addresses, URLs, and what a section is."""

import ipaddress
import re
from contextlib import suppress
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from yarl import URL

from apprproxy.core.host import Host, MalformedHost

_HOST = re.compile(r"(?:(?:docker|oci)://)?([A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?(?:/[A-Za-z0-9._~/-]*)?)")
"""As clients write a registry. Nothing that could be a secret."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _address(given: object) -> str:
    host, port = split_address(given) if isinstance(given, str) else ("", -1)
    if not host or not 0 <= port <= 65535:
        raise ValueError(f"not an address: {given!r}; write 127.0.0.1:8080, or [::1]:8080")
    return str(given)


def split_address(text: str) -> tuple[str, int]:
    """Host without brackets, and port; the port is -1 where there is none."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        return "", -1
    return host, int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else -1


def is_loopback(address: str) -> bool:
    host, _ = split_address(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Address = Annotated[str, BeforeValidator(_address)]
Addresses = Annotated[
    Annotated[Address, Tag("[one]")] | Annotated[list[Address], Field(min_length=1), Tag("[several]")],
    Discriminator(lambda given: "[several]" if isinstance(given, list) else "[one]"),
]
"""Told apart by hand, so that what is wrong with an address is not said to be wrong with a list as well."""


def _host(text: str) -> str:
    """Compared as it is written, so that what is written otherwise would fit none. Never with what may be a secret."""
    try:
        written = str(Host.parse(text))
    except MalformedHost as error:
        why = "not a host, or a host and its port" if set(text) & set("/@") else str(error)
        raise ValueError(why + _way_out(text)) from None
    if written != text:
        raise ValueError(f"write {written} for {text!r}, as it is compared")
    return text


def _way_out(text: str) -> str:
    if "*" in text:
        return "; patterns are not taken: write each host by itself"
    if re.fullmatch(r"[0-9A-Fa-f.:]+/\d+", text):
        return "; networks are not taken: write each host by itself"
    with suppress(MalformedHost):
        return f"; write {Host.parse(f'[{text}]')}"
    with suppress(ValueError, IndexError):  # the library's, of //[]@
        url = URL(text if "//" in text else f"//{text}")
        return f"; write {Host.parse(url.host_port_subcomponent or '')}"
    return ""


def not_http(text: str, scheme: str) -> str:
    """With what a host alone is meant to be."""
    host = _HOST.fullmatch(text)
    return "not an http or https URL" + (f"; write {scheme}://{host[1]}" if host else "")


def _url(text: str, account: str = "use auth") -> str:
    text = text.strip()
    if (port := re.match(r"https?://[^/]*:(\d+)(/|$)", text)) and int(port[1]) > 65535:
        raise ValueError(f"there is no port {port[1][:10]}")
    try:
        url = URL(text)
    except (ValueError, IndexError):  # the library's, of //[]@
        url = URL()
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(not_http(text, "https"))
    if url.user is not None or url.password is not None:
        raise ValueError(f"a URL with a user name in it would end up in logs; {account}")
    if url.query_string or url.fragment:
        raise ValueError("a base URL has neither query nor fragment")
    return text.rstrip("/")


HostName = Annotated[str, AfterValidator(_host)]
Url = Annotated[str, AfterValidator(_url)]
MirrorUrl = Annotated[str, AfterValidator(partial(_url, account="leave it out: a mirror gets no account"))]
