"""Names as operators write them, and the records that they stand for."""

from dataclasses import dataclass

from apprproxy.app.protocols import PROTOCOLS, kinds_of, protocol_of
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, Place, Record
from apprproxy.oci import names as oci
from apprproxy.settings import Settings
from apprproxy.store.names.names import DiskNames

FORMS = "UPSTREAM/REPOSITORY:TAG, UPSTREAM/REPOSITORY@DIGEST or UPSTREAM/PACKAGE@RELEASE/FORMAT"


_REFERRERS = "/referrers"


@dataclass(frozen=True, slots=True)
class Title:
    """``text`` is what pins call it. ``want`` is how its owner is asked; None for what is named by ``digest``."""

    text: str
    upstream: str
    protocol: str
    repository: str
    want: NameWant | None = None
    digest: Digest | None = None

    @property
    def place(self) -> Place:
        return Place.of(self.upstream, self.protocol)


def parse(text: str, settings: Settings | None = None) -> Title:
    """``<upstream>/<repository>:<tag>``, ``<upstream>/<repository>@sha256:…``, that with ``/referrers`` for the list of
    its referrers, or ``<upstream>/<package>@<release>/<format>``; raises Malformed.

    ``settings`` say what its upstream speaks now; without them, as for what was pinned, the spelling does."""
    upstream, slash, rest = text.partition("/")
    if not slash:
        raise Malformed(f"a name begins with its upstream's: {FORMS}")
    if ":" in upstream:
        raise Malformed(f"a name begins with its upstream's, not with a scheme or the gateway's address: {FORMS}")
    name, _, after = rest.partition("@")
    kinds = kinds_of(settings, upstream) if settings is not None else ()
    if after.startswith(("sha256:", "sha512:")) and "appr" not in kinds:
        if after.endswith(_REFERRERS):
            subject = str(oci.digest(after.removesuffix(_REFERRERS)))
            listed = NameWant(Place.of(upstream, "oci"), Kind.REFERRERS, oci.repository(name), subject)
            return Title(text, upstream, "oci", listed.repository, listed)
        return Title(text, upstream, "oci", oci.repository(name), digest=oci.digest(after))
    protocol = protocol_of(rest, kinds)
    want = PROTOCOLS[protocol].spelling.wants(Place.of(upstream, protocol), rest)[-1]
    if want.kind is Kind.RELEASE and "/" not in after:
        raise Malformed(f"name the format as well: {text[:200]}/helm")
    return Title(text, upstream, protocol, want.repository, want)


def records_of(names: DiskNames, title: Title) -> dict[str, Record]:
    """By key: the record of the name itself, and of a release also those that clients reach it by."""
    if title.want is None:
        return {}
    release = title.want.name.partition("/")[0]
    keys = [title.want.key]
    if title.want.kind is Kind.RELEASE:
        keys += [f"{Kind.RELEASE} {title.repository} {release}{ending}" for ending in ("/-", "")]
    found = {key: names.known(title.upstream, key) for key in keys}
    return {key: record for key, record in found.items() if record is not None}
