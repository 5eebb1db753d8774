"""Who may see which bytes, and what names them.

A link alone opens nothing: anybody may publish a document that names a private digest. It counts only in a repository
that may show the document itself, and only for bytes that came from that upstream, as that account sees it, through a
repository that is served still. Nor does an upstream's word that it has a digest: it counts for what that upstream has
sent, or one that answers everybody.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from apprproxy.core.digest import Digest
from apprproxy.core.label import CLAIMED
from apprproxy.core.model import Clock, Expected, Where
from apprproxy.store.index.below import WIDTH
from apprproxy.store.index.database import Database
from apprproxy.store.index.pinned import extend
from apprproxy.store.index.uses import use
from apprproxy.store.rounds import in_pieces

LOOSE = 100_000
"""Keys of which something is known and whose bytes are not held: HEAD for a million blobs must not fill the disk."""

PLACES = 1000
"""Repositories of an upstream remembered for one key; one that was forgotten has its owner asked again. Of each by
itself: anybody may send what is public in a thousand names, and would have others forget that they sent it too."""

_HASH = 13
"""A Member's identity is its name, a hyphen and twelve digits."""

OF = f"substr(members.upstream, 1, length(members.upstream) - {_HASH})"
"""The name of an upstream, whatever its account."""

_CONTRADICTION = -1
_LARGEST = 2**63 - 1

_HERE = "SELECT source FROM members WHERE key = ?3 AND upstream = ?1 AND repository = ?2"
_SENT = f"""SELECT upstream, repository, EXISTS (SELECT 1 FROM public WHERE public.upstream = members.upstream)
    FROM members WHERE key = ? AND source <> '{CLAIMED}'"""
_NAMED = """FROM links CROSS JOIN members ON members.key = links.parent AND upstream = ?1 AND repository = ?2
    WHERE links.child = ?3"""
_CAME_BY = f"""SELECT repository FROM members WHERE key = ?3 AND upstream = ?1 AND source NOT IN ('', '{CLAIMED}')
    AND EXISTS (SELECT 1 {_NAMED})"""
_SIZES = f"""SELECT DISTINCT links.size {_NAMED} AND links.size IS NOT NULL AND source <> '{CLAIMED}' LIMIT 2"""

_SHOWN = f"""
INSERT INTO members VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, source = CASE
    WHEN excluded.source = '{CLAIMED}' OR (excluded.source = '' AND source <> '{CLAIMED}') THEN source
    ELSE excluded.source END
"""
_TOO_MANY = f"""
DELETE FROM members WHERE (key, upstream, repository) IN (
    SELECT key, upstream, repository FROM members WHERE key = ? AND upstream = ?
    ORDER BY source = '{CLAIMED}', at DESC LIMIT -1 OFFSET ?)
"""


@dataclass(frozen=True, slots=True)
class Open:
    """Of which repositories counts what came through them: what came only through one that is denied by now stays where
    it is. It ``admits`` those of an upstream as it is now; ``serves`` says the same of one that had another URL or
    account, whose name is left."""

    admits: Callable[[Where], bool] = lambda _: True
    serves: Callable[[Where], bool] = lambda _: True


def upstream_of(identity: str) -> str:
    """Its name in the configuration, as it was when the identity was written down."""
    return identity[:-_HASH]


@dataclass(frozen=True, slots=True)
class Some:
    """Of what a document names, with the sizes that it states. Once the ``last`` is written, all are, and what is said
    of the document holds for them as well: its pins and its use."""

    parent: str
    links: tuple[tuple[str, int | None], ...]
    last: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a blob may be shown, and since when. ``sources`` sent its bytes; none: its owner only said so."""

    where: Where
    sources: tuple[str, ...]
    at: float


class Membership:
    """Blocking. Raises StoreFailed."""

    def __init__(self, database: Database, now: Clock) -> None:
        self._database = database
        self._now = now

    def shows(self, where: Where, key: str, open_: Open) -> bool:
        asked = where.upstream, where.repository, key
        for (source,) in self._database.read(_HERE, *asked):
            if source != CLAIMED or self.believed(where, key, open_):
                return True
        came = self._database.read(_CAME_BY, *asked)
        return any(open_.admits(Where(where.upstream, repository)) for (repository,) in came)

    def believed(self, where: Where, key: str, open_: Open) -> bool:
        return any(
            upstream == where.upstream or (public and open_.serves(Where(upstream, repository)))
            for upstream, repository, public in self._database.read(_SENT, key)
        )

    def is_anothers(self, where: Where, key: str, open_: Open) -> bool:
        """Is it known who sent it, and are those others, or repositories that are served no more, whose bytes are not
        for everybody?"""
        senders = self._known_senders(key)
        return bool(senders) and not any(
            (upstream == where.upstream and open_.admits(Where(upstream, repository)))
            or (public and open_.serves(Where(upstream, repository)))
            for upstream, repository, public in senders
        )

    def opened_as(self, where: Where, key: str) -> str | None:
        """The source under which it is written down that a document opens this, so that what is denied later stays
        where it is: none where the same upstream sent it, for the link is enough; its owner's word where others did."""
        senders = {upstream for upstream, _, _ in self._known_senders(key)}
        if where.upstream in senders:
            return None
        return CLAIMED if senders else ""

    def _known_senders(self, key: str) -> list[Any]:
        """As ``believed`` has them, without those of whom nothing says which source it was; and those who sent what is
        in a package that is known by its own digest here."""
        return [sent for one in self.alike(key) for sent in self._database.read(f"{_SENT} AND source <> ''", one)]

    def alike(self, key: str) -> list[str]:
        """By what else the same bytes are known: those of a package are, by the digest of the tar inside."""
        tars = self._database.read("SELECT unpacked FROM blobs WHERE key = ? AND unpacked IS NOT NULL", key)
        return [key, *(tar for (tar,) in tars)]

    def set_public(self, upstreams: Iterable[str]) -> None:
        """Those without an account: what comes of them everybody may have, whatever becomes of them."""
        known = {upstream for (upstream,) in self._database.read("SELECT upstream FROM public")}
        if new := set(upstreams) - known:
            with self._database.transaction() as db:
                db.executemany("INSERT OR IGNORE INTO public VALUES (?)", [(upstream,) for upstream in new])

    def shown(self, where: Where, key: str, source: str) -> None:
        self.all_shown(where, (key,), source)

    def all_shown(self, where: Where, keys: Iterable[str], source: str) -> None:
        with self._database.transaction() as db:
            for key in keys:
                _show(db, where, key, source, self._now())

    def link(self, parent: Digest, children: Sequence[Expected]) -> None:
        for some in self.unlinked(parent, children):
            self.link_some(some)

    def unlinked(self, parent: Digest, children: Sequence[Expected]) -> list[Some]:
        """What is to be given to ``link_some``, one after the other, until the parent is linked. Documents do not
        change, so a second time is nothing new, unless the first was broken off or some of it was forgotten."""
        key, links = str(parent), list(_sizes(children).items())
        ((there,),) = self._database.read("SELECT count(*) FROM links WHERE parent = ?", key)
        if there >= len(links):
            return []
        pieces = in_pieces(links)
        return [Some(key, tuple(piece), last=piece is pieces[-1]) for piece in pieces]

    def link_some(self, some: Some) -> None:
        """In one transaction: a document may name thousands, and others wait for it."""
        with self._database.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO links (parent, child, size) VALUES (?, ?, ?)",
                [(some.parent, child, size) for child, size in some.links],
            )
            _bound(db, some.parent)
            if some.last:
                _linked(db, some.parent)

    def stated_size(self, where: Where, key: str) -> int | None:
        sizes = self._database.read(_SIZES, where.upstream, where.repository, key)
        return int(sizes[0][0]) if len(sizes) == 1 and sizes[0] != (_CONTRADICTION,) else None

    def shown_by_any(self, key: str) -> bool:
        return bool(self._database.read("SELECT 1 FROM members WHERE key = ? LIMIT 1", key))

    def provenance(self, digest: Digest) -> list[Origin]:
        """Oldest first; what came by the digest of the tar inside included."""
        found = self._database.read(
            "SELECT upstream, repository, source, at FROM members WHERE key = ?1"
            " OR key = (SELECT unpacked FROM blobs WHERE key = ?1) ORDER BY at, upstream, repository",
            str(digest),
        )
        return [Origin(Where(upstream, repository), _sources(sent), at) for upstream, repository, sent, at in found]


def _sources(sent: str) -> tuple[str, ...]:
    return tuple(sent.split(",")) if sent not in ("", CLAIMED) else ()


def _show(db: sqlite3.Connection, where: Where, key: str, source: str, now: float) -> None:
    db.execute(_SHOWN, (key, where.upstream, where.repository, source, now))
    db.execute(_TOO_MANY, (key, where.upstream, PLACES))
    _bound(db, key)


def _linked(db: sqlite3.Connection, parent: str) -> None:
    extend(db, parent)
    for (used,) in db.execute("SELECT used FROM blobs WHERE key = ?", (parent,)).fetchall():
        use(db, parent, used)


def _sizes(children: Sequence[Expected]) -> dict[str, int | None]:
    """By key, as many as are kept."""
    sizes: dict[str, int | None] = {}
    for child in children:
        size = child.size if child.size is not None and 0 <= child.size <= _LARGEST else None
        before = sizes.get(child.key)
        if before is not None and size is not None and before != size:
            size = _CONTRADICTION
        if child.key in sizes or len(sizes) < WIDTH:
            sizes[child.key] = before if size is None else size
    return sizes


def _bound(db: sqlite3.Connection, key: str) -> None:
    """What is known of bytes that are not held goes when too much has come after it."""
    if db.execute(
        "SELECT 1 FROM blobs WHERE key = ?1 UNION ALL SELECT 1 FROM blobs WHERE unpacked = ?1", (key,)
    ).fetchone():
        return
    if db.execute("SELECT 1 FROM loose WHERE key = ?", (key,)).fetchone():
        return
    newest = db.execute("INSERT INTO loose (key) VALUES (?)", (key,)).lastrowid or 0
    for (old,) in db.execute("SELECT key FROM loose WHERE id <= ?", (newest - LOOSE,)).fetchall():
        db.execute("DELETE FROM members WHERE key = ?", (old,))
        db.execute("DELETE FROM links WHERE parent = ?", (old,))
        db.execute("DELETE FROM loose WHERE key = ?", (old,))
