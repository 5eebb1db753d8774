"""What an owner said, with first-seen digests in place of those that moved."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Descriptor, Found, NameWant
from apprproxy.core.ports.store import Held
from apprproxy.core.ports.upstream import Dialect
from apprproxy.core.reading import is_short
from apprproxy.gateway.kept.first_seen import FirstSeenDigests
from apprproxy.gateway.members.member import Member


class Settling:
    def __init__(self, first_seen: FirstSeenDigests) -> None:
        self._first_seen = first_seen

    async def __call__(self, member: Member, want: NameWant, found: Found, as_of: int, before: Held | None) -> Found:
        """``before`` is the document that it had. Behind an alias the new one may be of something else, or not what its
        title stands for: no pin of that title follows it. Raises Lied, and StoreFailed where it is not known what came
        first."""
        await self._first_seen.refuse_others(member, found.passed_over)
        settled = await self._first_seen.settle(member, found, as_of)
        standing = settled.standing
        if found.alias and (standing or settled.apart):
            found = replace(found, titles={})
        if not standing:
            return found
        if found.alias and (body := await _naming(member, before, *standing.values())) is not None:
            return _with(found, body)
        found = replace(found, alias="")  # of which this is not the document
        if found.body is not None and not found.manifest:
            short = is_short(found.body)
            return await member.desk.take_apart(short, _corrected, member.dialect, want, found, standing)
        (digest,) = standing.values()
        return replace(found, body=None, target=replace(found.target, digest=digest, size=-1))


async def _naming(member: Member, document: Held | None, digest: Digest) -> bytes | None:
    """The whole of it, if that is what it names; None also where it cannot be read."""
    if document is None:
        return None
    with suppress(StoreFailed):
        body, named = await member.desk.read(document, lambda body: (body, member.dialect.children(body)))
        return body if [digest] == [one.digest for one in named] else None
    return None


def _corrected(dialect: Dialect, want: NameWant, found: Found, digests: Mapping[str, Digest]) -> Found:
    """With these in its document, in place of those that it claims."""
    assert found.body is not None
    return _with(found, dialect.with_digests(want, found.body, digests))


def _with(found: Found, body: bytes) -> Found:
    return replace(found, body=body, target=Descriptor(Digest.of(body), len(body), found.target.media_type))
