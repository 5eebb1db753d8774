"""A mirror of an upstream: it is asked for bytes by digest only, and without any credential."""

import re
from collections.abc import Sequence
from typing import Literal

from yarl import URL

from apprproxy.core.grammar import COMPONENT
from apprproxy.settings.fields import MirrorUrl, Section
from apprproxy.settings.protocols import KEYS, ProtocolName, only_for
from apprproxy.settings.reach import ClientTls, Connections, Prefix, Proxy
from apprproxy.settings.units import Wait

Kind = Literal[ProtocolName, "static"]
_COMPONENT = re.compile(COMPONENT)


class MirrorTimeouts(Section):
    """Those of the upstream where they are not given."""

    connect: Wait | None = None
    read: Wait | None = None


class Mirror(Section):
    """``kind`` is that of the upstream where it is not given: ``Upstream.full_mirrors`` has it all filled in. A
    ``sibling`` is another cache, which is to give what it holds and to fetch nothing."""

    url: MirrorUrl
    kind: Kind | None = None
    prefix: Prefix | None = None
    timeouts: MirrorTimeouts = MirrorTimeouts()
    connections: Connections = 32
    proxy: Proxy | None = None
    tls: ClientTls = ClientTls()
    sibling: bool = False

    @property
    def repositories(self) -> str:
        """What stands before every repository of an OCI mirror: the path of its URL."""
        return URL(self.url).raw_path.strip("/")


def check(mirrors: Sequence[Mirror], kind: ProtocolName, url: str) -> None:
    """The mirrors of an upstream of that kind at that URL; raises ValueError, which names one as metrics do."""
    seen = {_place(url): "the upstream itself"}
    for number, mirror in enumerate(mirrors, 1):
        if (fault := _fault(mirror, kind)) is not None:
            raise ValueError(f"mirror-{number}: {fault}")
        same = seen.setdefault(_place(mirror.url), f"mirror-{number}")
        if same != f"mirror-{number}":
            raise ValueError(f"mirror-{number}: {mirror.url} is {same}")


def _fault(mirror: Mirror, above: ProtocolName) -> str | None:
    kind = mirror.kind or above
    if kind not in (above, "static"):
        return f"an upstream of kind: {above} has mirrors of kind {above} or static"
    if mirror.sibling and kind == "static":
        return "sibling is for another gateway, and kind: static is none"
    if mirror.prefix is not None and (kind == "static" or not KEYS[kind].prefix):
        return f"prefix is for {only_for('prefix')} only"
    if kind == "static" or KEYS[kind].based or not mirror.repositories:
        return None
    segments = mirror.repositories.split("/")
    if segments[0] == "v2":
        return "the path of an OCI mirror stands before its repositories: leave /v2 out"
    if not all(_COMPONENT.fullmatch(segment) for segment in segments):
        return "the path of an OCI mirror stands before its repositories, and is none"
    return None


def _place(url: str) -> tuple[str, str | None, int | None, str]:
    """The same for URLs that are written differently and lead to the same place."""
    plain = URL(url)
    return plain.scheme, plain.host, plain.port, plain.raw_path.rstrip("/")
