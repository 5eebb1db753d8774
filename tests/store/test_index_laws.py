"""Whatever happens in whatever order: cap and pins are kept, the totals are the sums, the oldest goes first."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from apprproxy.core.errors import NoRoom
from apprproxy.store.blobs.part import open_part
from apprproxy.store.index.evict import Totals
from tests.fakes.clock import START
from tests.store.ledgers import CAP, Cache, digest_of, names

DOCUMENTS = {"index": ("manifest", "config"), "manifest": ("layer", "config"), "other": ("layer", "base")}
PLAIN = ("layer", "config", "base", "w", "x", "y", "z")
ALL = (*DOCUMENTS, *PLAIN)
SIZES = {name: 60 + 37 * number for number, name in enumerate(ALL)}

blobs = st.sampled_from(ALL)
parts = st.sampled_from(["p.part", "q.part", "r.part"])


class CacheMachine(RuleBasedStateMachine):
    """Against dicts: name -> last use, part -> reserved, pin -> root. A part whose lock is not held is an orphan."""

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.cache = Cache(Path(self.folder.name))
        self.used: dict[str, float] = {}
        self.parts: dict[str, int] = {}
        self.locks: dict[str, int] = {}
        self.pins: dict[str, str] = {}
        self.linked: set[str] = set()
        self.covered: dict[str, set[str]] = {}

    def below(self, name: str) -> set[str]:
        found = {name}
        for child in DOCUMENTS[name] if name in self.linked else ():
            found |= self.below(child)
        return found

    def touch(self, name: str, at: float) -> None:
        for one in self.below(name) & self.used.keys():
            self.used[one] = max(self.used[one], at)

    def pinned(self) -> set[str]:
        return set().union(*self.covered.values())

    def claim(self, more: int) -> bool:
        """What the oracle thinks of so many bytes more: evicts as it should, or says that there is no room."""
        held = sum(SIZES[name] for name in self.used)
        short = held + sum(self.parts.values()) + more - CAP
        free = sorted(self.used.keys() - self.pinned(), key=lambda name: (self.used[name], str(digest_of(name))))
        lacking = short - sum(SIZES[name] for name in free)
        orphans = sorted(self.parts.keys() - self.locks.keys())
        if lacking > sum(self.parts[part] for part in orphans):
            return False
        for part in orphans:
            if lacking > 0:
                lacking -= self.parts[part]
                short -= self.parts.pop(part)
        for name in free:
            if short <= 0:
                break
            short -= SIZES[name]
            del self.used[name]
            self.linked.discard(name)
        return True

    @rule(name=blobs, link=st.booleans())
    def put(self, name: str, link: bool) -> None:
        fits = self.claim(SIZES[name])
        try:
            self.cache.put(name, SIZES[name])
        except NoRoom:
            assert not fits
            return
        assert fits
        self.used[name] = self.cache.clock()
        self.touch(name, self.cache.clock())
        if link and name in DOCUMENTS and name not in self.linked:
            self.cache.ledger.membership.link(digest_of(name), [names(child) for child in DOCUMENTS[name]])
            self.linked.add(name)
            self.touch(name, self.used[name])
            for cover in self.covered.values():
                cover.update(self.below(name) if name in cover else ())

    @rule(name=blobs)
    def use(self, name: str) -> None:
        self.cache.use(name)
        self.touch(name, self.cache.clock())

    @rule(part=parts, total=st.integers(1, 700))
    def reserve(self, part: str, total: int) -> None:
        if part not in self.locks:
            path = self.cache.root / "ingest" / part
            self.locks[part], _ = open_part(path)
            os.utime(path, (START,) * 2)  # all of one age: by name
        more = total - self.parts.get(part, 0)
        fits = more <= 0 or self.claim(more)
        try:
            self.cache.ledger.reserve(part, total)
        except NoRoom:
            assert not fits
            return
        assert fits
        self.parts[part] = max(total, self.parts.get(part, 0))

    @rule(part=parts)
    def abandon(self, part: str) -> None:
        if part in self.locks:
            os.close(self.locks.pop(part))

    @rule(part=parts)
    def release(self, part: str) -> None:
        (self.cache.root / "ingest" / part).unlink(missing_ok=True)
        if part in self.locks:
            os.close(self.locks.pop(part))
        self.cache.ledger.release(part)
        self.parts.pop(part, None)

    @rule(pin=st.sampled_from(["one", "two"]), root=blobs)
    def pin(self, pin: str, root: str) -> None:
        self.cache.ledger.pinned.pin(pin, digest_of(root))
        self.covered[pin] = self.below(root)

    @rule(pin=st.sampled_from(["one", "two"]))
    def unpin(self, pin: str) -> None:
        self.cache.ledger.pinned.unpin(pin)
        self.covered.pop(pin, None)

    @rule(name=blobs)
    def remove(self, name: str) -> None:
        self.cache.remove(digest_of(name))
        self.used.pop(name, None)
        self.linked.discard(name)

    @rule()
    def restart(self) -> None:
        self.cache.close()
        self.cache = Cache(self.cache.root, self.cache.clock)

    @invariant()
    def it_is_as_the_oracle_says(self) -> None:
        if not hasattr(self, "cache"):
            return
        held = {name for name in ALL if name in self.cache.holds(*ALL).split()}
        size = sum(SIZES[name] for name in held)
        pinned = sum(SIZES[name] for name in held & self.pinned())

        assert self.used.keys() == held
        assert Totals(len(held), size, pinned, sum(self.parts.values())) == self.cache.ledger.totals()
        assert size + sum(self.parts.values()) <= CAP

    def teardown(self) -> None:
        for fd in getattr(self, "locks", {}).values():
            os.close(fd)
        if hasattr(self, "cache"):
            self.cache.close()
            self.folder.cleanup()


CacheMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestCache = CacheMachine.TestCase
