"""Where what is known and held is kept, as the use case sees it."""

from dataclasses import dataclass

from apprproxy.core.ports.store import BlobStore, Brief, Held, Index, NotedNames
from apprproxy.gateway.kept.first_seen import FirstSeenDigests
from apprproxy.gateway.kept.misses import Misses
from apprproxy.gateway.members.member import Member


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where names, bytes, and what is known of them are kept."""

    names: NotedNames
    first_seen: FirstSeenDigests
    blobs: BlobStore
    index: Index
    brief: Brief
    misses: Misses

    async def link(self, member: Member, held: Held) -> None:
        """Write down what a document of this upstream names by digest."""
        if children := await member.desk.read(held, member.dialect.children):
            await self.index.link(held.digest, children, member.name)
