"""A host as clients name it, in one spelling: lower case, IPv6 literals at their shortest, the port apart."""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Self

_WRITTEN = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,254})(?::(?P<port>\d{0,5}))?")


class MalformedHost(ValueError):
    pass


@dataclass(frozen=True, slots=True)
class Host:
    """``port`` is None where none was written. An IPv6 ``name`` has its brackets."""

    name: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """``host``, ``host:port``, ``[::1]`` or ``[::1]:port`` (RFC 3986, section 3.2); raises MalformedHost."""
        written = _WRITTEN.fullmatch(text)
        if written is None or not text.isascii():
            raise MalformedHost(f"not a host, or a host and its port: {text[:80]!r}")
        port = int(written["port"]) if written["port"] else None
        if port is not None and port > 65535:
            raise MalformedHost(f"not a port: {port}")
        return cls(_one_spelling(written["name"]), port)

    @property
    def anywhere(self) -> Self:
        """The same on whatever port."""
        return type(self)(self.name)

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


def _one_spelling(name: str) -> str:
    """A dot at the end says only that the name is complete."""
    if not name.startswith("["):
        name = name.lower().removesuffix(".")
        if not name or not (name[0].isalnum() and name[-1].isalnum()):
            raise MalformedHost(f"not a host: {name[:80]!r}")
        return name
    try:
        return f"[{IPv6Address(name[1:-1])}]"
    except AddressValueError:
        raise MalformedHost(f"not an IPv6 address: {name}") from None
