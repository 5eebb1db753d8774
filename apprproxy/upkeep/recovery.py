"""Who may see what is held, told anew from the names when the index that knew it is lost.

A repository shows the document that its name points at, since its owner said so, and what that names as far as it is
held. Beside another upstream that has an account it shows of the latter only what a pin of its upstream covers, and no
name of that account leads to: a stranger's document must not open what only an account may read, and of what came by
digest nothing tells any more by whom. What another account of an upstream was told, or another place of its name, opens
nothing, and what that leads to no other upstream shows. Where only some of the index was lost, a document opens nothing
of which the rest says that it came of another account, configured still or not, or only through repositories that are
denied now. All else its owner is asked for when somebody asks.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from apprproxy.app import App
from apprproxy.app.linked import linked
from apprproxy.app.members import open_in
from apprproxy.app.protocols import PROTOCOLS
from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.kind import Kind
from apprproxy.core.label import CLAIMED
from apprproxy.core.lock import BadLock
from apprproxy.core.model import Expected, NameWant, Place, Where, want_of
from apprproxy.core.spelling import Spelling
from apprproxy.gateway.members.member import Member
from apprproxy.ops.logs import logger
from apprproxy.store.names.lock_file import read


@dataclass(frozen=True, slots=True)
class Known:
    """The owner's word that a repository has this: ``itself``, or only what it names. ``claimed``: it said so when it
    was asked for the digest, and may never have sent it. ``before``: it was told to another account of its
    upstream's than is configured now, or by another place."""

    member: Member
    repository: str
    expected: Expected
    itself: bool = True
    claimed: bool = False
    before: bool = False


@dataclass(slots=True)
class Count:
    """``shown`` blobs, once for each name that leads there."""

    names: int = 0
    shown: int = 0


async def recover(app: App) -> Count | None:
    """None where nothing was lost. May be broken off at any time: then it begins again at the next start."""
    if await asyncio.to_thread(app.ledger.recovered):
        return None
    stop = threading.Event()
    work = asyncio.get_running_loop().run_in_executor(None, Recovery(app, stop).run)
    try:
        count = await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        raise
    await asyncio.to_thread(app.ledger.set_recovered)
    app.index.linked_beside()
    if count.names:
        logger("apprproxy").info("who may see what is held was recovered", names=count.names, shown=count.shown)
    return count


class Recovery:
    """Blocking, in one thread; ``stop`` ends it after the name that it is at."""

    def __init__(self, app: App, stop: threading.Event) -> None:
        self._app = app
        self._stop = stop
        self._accounts = {name for name, member in app.members.items() if member.private}
        self._open = open_in(app.settings)
        self._namers: dict[str, frozenset[str]] = {}
        self._named_before: dict[str, frozenset[str]] = {}

    def run(self) -> Count:
        if len(self._app.members) > 1:
            for known in self._all():
                if known.before:
                    self._note(known, self._named_before)
                elif self._accounts:
                    self._note(known, self._namers)
        count = Count()
        for known in self._all():
            if known.before:
                continue
            count.shown += self._shown(known)
            count.names += 1
        return count

    # --- what owners, and lock files, said

    def _all(self) -> Iterator[Known]:
        locked = chain.from_iterable(map(self._locked, self._app.members))
        for known in chain(locked, self._names()):
            if self._stop.is_set():
                return
            yield known

    def _names(self) -> Iterator[Known]:
        for name, key, record in self._app.names.all_names():
            member, upstream = self._app.members.get(name), self._app.settings.upstreams.get(name)
            if member is None or upstream is None or member.locked is not None:
                continue
            want = want_of(Place.of(name, upstream.kind), key)
            if want is None:
                continue
            before = record.told not in ("", member.identity)  # of what was written down without that nobody knows
            if want.kind.content or want.kind is Kind.REFERRERS:
                yield Known(member, want.repository, Expected(record.target.digest), want.kind.content, before=before)
            elif want.kind.by_digest and (expected := _present(want, PROTOCOLS[upstream.kind].spelling)):
                yield Known(member, want.repository, expected, claimed=True, before=before)

    def _locked(self, name: str) -> Iterator[Known]:
        path, member = self._app.settings.upstreams[name].lock_file, self._app.members[name]
        if path is None:
            return
        try:
            lock = read(path)
        except BadLock as bad:  # it changed since the start: its gateway goes on with what it had
            logger("apprproxy").warning("what a lock file names could not be recovered", upstream=name, reason=str(bad))
            return
        for repository, tags in lock.tags.items():
            for digest in tags.values():
                yield Known(member, repository, Expected(digest))
        for package, releases in lock.releases.items():
            for digest in releases.values():
                yield Known(member, package, Expected(unpacked=digest))

    # --- what follows from it

    def _note(self, known: Known, namers: dict[str, frozenset[str]]) -> None:
        for expected, _ in self._below(known):
            namers[expected.key] = namers.get(expected.key, frozenset()) | {known.member.name}

    def _shown(self, known: Known) -> int:
        """How many blobs the repository shows because of it."""
        where, membership = known.member.where(known.repository), self._app.ledger.membership
        opened: dict[str | None, list[str]] = {"": [], CLAIMED: [], None: []}
        for one, at in self._below(known):
            if at == 0 and not known.claimed:
                opened[""].append(one.key)
            elif self._may_show(known.member.name, where, one.key):
                opened[membership.opened_as(where, one.key)].append(one.key)
        for source in ("", CLAIMED):
            membership.all_shown(where, opened[source], source)
        return sum(map(len, opened.values()))

    def _may_show(self, upstream: str, where: Where, key: str) -> bool:
        membership, others = self._app.ledger.membership, self._accounts - {upstream}
        if membership.is_anothers(where, key, self._open):
            return False
        for one in membership.alike(key):
            before = self._named_before.get(one, frozenset())
            if before - {upstream} or not self._namers.get(one, frozenset()).isdisjoint(others):
                return False
        return not others or self._app.ledger.pinned.covers(upstream, key)

    def _below(self, known: Known) -> Iterator[tuple[Expected, int]]:
        children = known.member.dialect.children
        found = linked(self._app.disk.find_here, self._app.ledger.membership, children, known.expected)
        return ((expected, depth) for expected, depth in found if depth or known.itself)


def _present(want: NameWant, spelling: Spelling) -> Expected | None:
    try:
        digest = Digest.parse(want.name)
    except MalformedDigest:
        return None
    return spelling.expected(digest)
