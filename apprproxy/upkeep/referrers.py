"""What refers to an image is pinned beside it, so that a site which verifies signatures has them.

- The list of a manifest's referrers is a name as others are, ``…@DIGEST/referrers``: a pin of it covers what it lists.
- cosign keeps signatures, attestations and SBOMs under tags, also where the registry has such lists.
- What refers may be referred to: an SBOM is signed as well.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from apprproxy.app import App
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Exhausted, Failure, NotThere
from apprproxy.core.kind import Kind
from apprproxy.oci import names, referrers
from apprproxy.oci.manifest import DOCKER_LIST, INDEX, children, media_type
from apprproxy.upkeep.pins import AT_ONCE, Kinds, Pin, fetch
from apprproxy.upkeep.title import Title, parse
from apprproxy.upkeep.told import Told, unheard

DEPTH = 4
"""An image, its SBOM, the signature of that, and one more."""
MOST = 1000
"""Manifests of one name of which it is asked, and that are brought because they refer to one: an index names some
hundred at the most, and anybody may attach things to a public image."""
BLOBS = 10 * MOST
"""For one name that such a manifest has: an index may name ten thousand manifests, and each as many layers."""
_TAGS = ("sig", "att", "sbom")
"""Of cosign's, after ``sha256-<digits>.``"""


@dataclass(slots=True)
class _Room:
    """What may still be brought for one name."""

    left: int = MOST

    def takes(self, manifests: int) -> bool:
        """All of them, or none."""
        fits = manifests <= self.left
        self.left -= manifests if fits else 0
        return fits


@dataclass(slots=True)
class Referring:
    """One for all names of an upstream, so that nothing is asked twice."""

    app: App
    _asked: set[tuple[str, str, Digest]] = field(default_factory=set)

    async def to(self, title: Title, root: str, told: Told) -> list[Pin]:
        """Pinned and fetched; one without a root says what could not be asked. ``told`` of names."""
        if self.app.settings.upstreams[title.upstream].names == "locked":
            return [Pin(title.text, failure="its upstream's names come from a lock file, which has no referrers")]
        found, asked, room = list[Pin](), 0, _Room()
        due = self._unasked(title, await self._manifests(title, root))
        for _ in range(DEPTH):
            some, due = due[: MOST - asked], due[MOST - asked :]
            asked += len(some)
            pins = await self._of_all(title, some, room, told)
            found += pins
            for pin in pins:
                due += self._unasked(title, await self._manifests(parse(pin.name), pin.root))
        if due:
            found.append(Pin(title.text, failure=f"more refers to it than {MOST} manifests, or than {DEPTH} in a row"))
        return found

    def _unasked(self, title: Title, manifests: Iterable[Digest]) -> list[Digest]:
        mine = [(title.upstream, title.repository, manifest) for manifest in manifests]
        new = [one for one in mine if one not in self._asked]
        self._asked.update(new)
        return [manifest for _, _, manifest in new]

    async def _manifests(self, title: Title, root: str) -> Sequence[Digest]:
        """Those that a pin covers; a list of referrers is none, and what it lists is."""
        closure = await asyncio.to_thread(self.app.ledger.pinned.closure, title.text)
        kinds = Kinds(self.app, title.text)
        lists = title.want is not None and title.want.kind is Kind.REFERRERS
        return [
            Digest.parse(key)
            for key in closure.held
            if (key == root and not lists) or await kinds.of(key) is Kind.MANIFEST
        ]

    async def _of_all(self, title: Title, subjects: Sequence[Digest], room: _Room, told: Told) -> list[Pin]:
        wanted = [name for subject in subjects for name in _names(title, subject)]
        told.expect(len(wanted))
        limit = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._pinned(name, limit, room, told)) for name in wanted]
        return [pin for task in tasks if (pin := task.result()) is not None]

    async def _pinned(self, title: Title, limit: asyncio.Semaphore, room: _Room, told: Told) -> Pin | None:
        """None where there is nothing."""
        async with limit:
            try:
                there = await self._there(title)
            except Failure as failure:
                return Pin(title.text, failure=str(failure))
            finally:
                told(1)
            if not room.takes(there):
                why = f"it brings {there}, and at most {MOST} manifests that refer to one name are brought"
                return Pin(title.text, failure=why)
            return await fetch(self.app, title, unheard, BLOBS) if there else None

    async def _there(self, title: Title) -> int:
        """How many manifests it brings. An empty list is remembered as others are, so that a site without a way out can
        say so; it needs no pin."""
        assert title.want is not None
        try:
            held = (await self.app.gateway.lookup(title.want)).document
        except Exhausted as failure:
            if all(isinstance(one, NotThere) and one.passes_on for one in failure.failures):
                return 0
            raise
        document = await held.read()
        if title.want.kind is Kind.REFERRERS:
            return referrers.count(document)
        return 1 + (len(children(document)) if media_type(document) in (INDEX, DOCKER_LIST) else 0)


def _names(title: Title, subject: Digest) -> Iterator[Title]:
    repository = f"{title.upstream}/{title.repository}"
    yield parse(f"{repository}@{subject}/referrers")
    for ending in _TAGS:
        if names.is_tag(tag := f"{subject.algorithm}-{subject.hex}.{ending}"):
            yield parse(f"{repository}:{tag}")
