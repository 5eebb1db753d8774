"""What an owner said of a name, made durable: the document it points at is kept under its digest, and what is known of
it is written down. A disk that takes nothing costs that it is asked for again, never the answer."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, NotOffered, NotThere, Outage, StoreFailed
from apprproxy.core.events import Observer, Trouble
from apprproxy.core.kind import Kind
from apprproxy.core.label import CLAIMED, OWNER
from apprproxy.core.model import BlobWant, Descriptor, Expected, Found, NameWant, Place, Record, spoken
from apprproxy.core.ports.store import Held
from apprproxy.gateway.kept.shelf import Shelf
from apprproxy.gateway.members.member import Member
from apprproxy.gateway.transfer import Brought

FetchManifest = Callable[[BlobWant], Awaitable[Brought]]
"""Bytes by digest, durable when it returns, or as durable as they can be."""


@dataclass(frozen=True, slots=True)
class Landed:
    """What a name points at, and the document, where there is one to have."""

    target: Descriptor
    document: Brought | None = None


class Landing:
    def __init__(self, shelf: Shelf, fetch: FetchManifest, observer: Observer) -> None:
        self._shelf = shelf
        self._fetch = fetch
        self._observer = observer

    async def land(self, member: Member, want: NameWant, found: Found) -> Landed:
        """The document, fetched by its digest where the answer did not bring it."""
        if found.body is not None:
            document = await self._kept(member, Expected(found.target.digest), found.body)
            await self._note(member, want, found, document.held)
        elif found.manifest:
            document = await self._manifest(member, want, found.target.digest, tuple(found.titles))
            await self._follow(member, found, document.held.digest)
        else:
            return Landed(found.target)
        return Landed(replace(found.target, size=document.held.size), document)

    async def remember(self, member: Member, want: NameWant, found: Found, record: Record, as_of: int) -> bool:
        """Could it be written down, where it was to be? What has no entry may have been made up by whoever asks, and
        what leads to a release of another name is one of many ways to spell it."""
        names = self._shelf.names
        if not (want.made_up or found.passed_over):
            remember = names.put
        else:
            remember = names.note if found.empty else names.put_some
        try:
            return await remember(member.name, want.key, record, as_of)
        except StoreFailed as failure:
            self._observer(Trouble("keep", member.name, spoken(want.key), str(failure)))
            return False

    async def drop(self, member: Member, want: NameWant, as_of: int) -> None:
        try:
            await self._shelf.names.drop(member.name, want.key, as_of)
        except StoreFailed as failure:
            self._observer(Trouble("keep", member.name, spoken(want.key), str(failure)))

    async def _kept(self, member: Member, expected: Expected, body: bytes) -> Brought:
        try:
            async with self._shelf.blobs.ingest(expected, member.name) as ingest:
                await ingest.write(body)
                return Brought(await ingest.commit(), kept=True)
        except StoreFailed as failure:
            self._observer(Trouble("keep", member.name, expected.key, str(failure)))
            unkept = self._shelf.blobs.unkept(expected)
            await unkept.begins(member.name, OWNER, None)
            await unkept.write(body)
            return Brought(await unkept.verify(), kept=False)

    async def _note(self, member: Member, want: NameWant, found: Found, held: Held) -> None:
        """Its owner sent this document for this repository."""
        try:
            if want.kind.content:
                await self._shelf.index.shown(member.where(want.repository), str(held.digest), OWNER)
                await self._shelf.link(member, held)
        except StoreFailed as failure:
            self._observer(Trouble("index", member.name, spoken(want.key), str(failure)))
        await self._follow(member, found, held.digest)

    async def _follow(self, member: Member, found: Found, root: Digest) -> None:
        """Pins go along. An answer that names one release is that release, and what its alias means; a list of many is
        none of them."""
        titles = [*found.titles] if len(found.titles) == 1 else []
        for title in [*titles, found.alias] if found.alias else titles:
            try:
                await self._shelf.index.moved_on(f"{member.name}/{title}", root)
            except StoreFailed as failure:
                self._observer(Trouble("index", member.name, title, str(failure)))

    async def _manifest(self, member: Member, want: NameWant, digest: Digest, titles: tuple[str, ...]) -> Brought:
        place = Place.of(member.name, want.place.protocol)
        word = "" if _is_locked(member, want) else CLAIMED
        with suppress(StoreFailed):  # its owner has just said so; what cannot be written down is asked again
            await self._shelf.index.shown(member.where(want.repository), str(digest), word)
        try:
            return await self._fetch(BlobWant(place, want.repository, Expected(digest), Kind.MANIFEST, titles))
        except Exhausted as failed:
            # one member, so one failure; that its tag points at a manifest it does not have is no authoritative *no*
            failure = failed.failures[0] if failed.failures else None
            if failure is None or isinstance(failure, (NotThere, NotOffered)):
                raise Outage(member.name, _lacking(member, want, digest)) from failed
            raise failure from failed


def _is_locked(member: Member, want: NameWant) -> bool:
    """Is it the lock file that says so, and not the upstream?"""
    return member.locked is not None and not want.kind.by_digest


def _lacking(member: Member, want: NameWant, digest: Digest) -> str:
    """Whose word the digest is: a lock file's may be mistyped, or older than what its upstream still has."""
    if _is_locked(member, want):
        return f"has no manifest {digest}, which its lock file has for {want.name!r}"
    return f"names {digest} for {want.name!r} and has no such manifest"
