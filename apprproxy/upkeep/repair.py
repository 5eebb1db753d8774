"""What was found wrong, fetched again by the gateway's own objects, from the repositories that showed it."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace

from apprproxy.app import App
from apprproxy.app.protocols import PROTOCOLS
from apprproxy.core.errors import Failure
from apprproxy.core.model import BlobWant, Expected, NameWant, Place, want_of
from apprproxy.settings import Settings
from apprproxy.store.index.membership import upstream_of
from apprproxy.store.names.names import DiskNames
from apprproxy.upkeep.findings import Finding


def with_names(names: DiskNames, findings: Iterable[Finding]) -> list[Finding]:
    """The findings, each with the names that point at it. Blocking; walks all names."""
    by_key: dict[str, list[tuple[str, str]]] = {finding.key: [] for finding in findings}
    for upstream, key, record in names.all_names():
        if (target := str(record.target.digest)) in by_key:
            by_key[target].append((upstream, key))
    return [replace(finding, names=tuple(by_key[finding.key])) for finding in findings]


async def repair(app: App, findings: Sequence[Finding]) -> AsyncIterator[tuple[Finding, str]]:
    """Each with the reason why it could not be had again, empty where it is held now."""
    for finding in findings:
        yield finding, await _again(app, finding)


async def _again(app: App, finding: Finding) -> str:
    """Through each upstream that showed it: what one sends is not for another to show, which may be away later."""
    expected, reasons = Expected.of_key(finding.key), []
    brought: set[str] = set()
    for want in _blob_wants(app, finding, expected):
        if want.place.name in brought:
            continue
        try:
            await app.gateway.keep(want)
        except Failure as failure:
            reasons.append(str(failure))
        else:
            if await app.disk.find(expected) is not None:
                brought.add(want.place.name)
            else:
                reasons.append("it came, and there is no room to keep it")
    if brought:
        return ""
    for name in _name_wants(app.settings, finding):
        try:
            await app.gateway.lookup(name, again=True)
        except Failure as failure:
            reasons.append(str(failure))
        else:
            return ""  # also where the name points elsewhere by now: then nobody asks for these bytes
    return "; ".join(dict.fromkeys(reasons)) or "no repository is known that has it"


def _blob_wants(app: App, finding: Finding, expected: Expected) -> Iterator[BlobWant]:
    """Of the upstreams as they are configured now: another account is not asked for what this one showed."""
    for origin in finding.origins:
        name, repository = upstream_of(origin.where.upstream), origin.where.repository
        member = app.members.get(name)
        if member is None or member.identity != origin.where.upstream:
            continue
        protocol = app.settings.upstreams[name].kind
        spelling = PROTOCOLS[protocol].spelling
        if spelling.expected(expected.digest) == expected:
            for kind in spelling.by_digest if finding.document else reversed(spelling.by_digest):
                yield BlobWant(Place.of(name, protocol), repository, expected, kind)


def _name_wants(settings: Settings, finding: Finding) -> Iterator[NameWant]:
    """Those that bring a document; that its owner has it says nothing of whether it is here."""
    for name, key in finding.names:
        upstream = settings.upstreams.get(name)
        want = want_of(Place.of(name, upstream.kind), key) if upstream is not None else None
        if want is not None and not want.kind.bodiless:
            yield want
