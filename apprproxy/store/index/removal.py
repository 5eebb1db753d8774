"""Blobs that an operator takes out, and files that are not what the index says: in short transactions, beside gateways.

What is being committed is let be: its file is about to be renamed into place, and would then be counted by nobody.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Expected
from apprproxy.store.blobs.part import blob_path, link_path
from apprproxy.store.directory.generation import Generation
from apprproxy.store.directory.locked import is_at
from apprproxy.store.directory.owner import trouble
from apprproxy.store.directory.quarantine import quarantined
from apprproxy.store.index.database import Database
from apprproxy.store.index.links import may_go
from apprproxy.store.index.membership import OF
from apprproxy.store.index.partials import Partials
from apprproxy.store.index.pinned import covered
from apprproxy.store.index.room import unlink


@dataclass(frozen=True, slots=True)
class Removed:
    blobs: int = 0
    size: int = 0

    def __add__(self, other: "Removed") -> "Removed":
        return Removed(self.blobs + other.blobs, self.size + other.size)


Note = Callable[[], None]
"""Called once it is sure that something goes, and before it does: what is known of it is forgotten with it."""


class Removal:
    """Blocking. Raises StoreFailed."""

    def __init__(self, root: Path, database: Database, generation: Generation) -> None:
        self._root = root
        self._database = database
        self._generation = generation
        self._partials = Partials(root / "ingest")

    def remove(self, keys: Sequence[str]) -> Removed:
        """These blobs, pinned or not, from the disk and from the memory of every process."""
        blobs = freed = 0
        while keys:
            with self._database.transaction() as db:
                coming = self._partials.publishing(db)
                keys = [key for key in keys if key not in coming]
                count = may_go(db, keys)
                for key in keys[:count]:
                    if (size := self._gone(db, key)) is not None:
                        blobs, freed = blobs + 1, freed + size
            keys = keys[count:]
        self._generation.bump()
        return Removed(blobs, freed)

    def _gone(self, db: sqlite3.Connection, key: str) -> int | None:
        """Its size; None where there was nothing."""
        row = db.execute("SELECT size, unpacked FROM blobs WHERE key = ?", (key,)).fetchone()
        path = blob_path(self._root, Digest.parse(key))
        size = row[0] if row else path.stat().st_size if path.exists() else None
        unlink(self._root, key, row[1] if row else None)
        db.execute("DELETE FROM blobs WHERE key = ?", (key,))
        return size

    def hide(self, upstream: str) -> None:
        """Nothing that is held is shown by this upstream's repositories any more, whichever account it was."""
        with self._database.transaction() as db:
            db.execute(f"DELETE FROM members WHERE {OF} = ?", (upstream,))
        self._generation.bump()

    def set_aside(self, digest: Digest, fd: int, note: Note) -> Path | None:
        """Move a wrong file away, and count it no more; None where another has come into its place meanwhile."""
        key, path = str(digest), blob_path(self._root, digest)
        with self._database.transaction() as db:
            if not is_at(fd, path):
                return None
            note()
            aside = quarantined(self._root, path, f"{digest.algorithm}-{digest.hex}")
            for (tar,) in db.execute("SELECT unpacked FROM blobs WHERE key = ?", (key,)).fetchall():
                unlink(self._root, key, tar)
            db.execute("DELETE FROM blobs WHERE key = ?", (key,))
        self._generation.bump()
        return aside

    def set_stray_aside(self, path: Path) -> Path | None:
        """Something that is no blob, and stands where blobs are."""
        try:
            return quarantined(self._root, path, f"stray-{secrets.token_hex(4)}")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFailed(trouble(error)) from error

    def set_link_aside(self, tar: Digest, content: Digest, note: Note) -> Path | None:
        """A link from a tar to a package that holds another."""
        link = link_path(self._root, tar)
        with self._database.transaction() as db:
            if not link.is_symlink() or not os.readlink(link).endswith(f"/{content.hex}"):
                return None
            note()
            aside = quarantined(self._root, link, f"unpacked-{tar.algorithm}-{tar.hex}")
            known = (str(content), Expected(unpacked=tar).key)
            db.execute("UPDATE blobs SET unpacked = NULL WHERE key = ? AND unpacked = ?", known)
        self._generation.bump()
        return aside

    def drop_dangling(self, tar: Digest) -> bool:
        """A link to what is not held; says whether it was one."""
        link = link_path(self._root, tar)
        with self._database.transaction():
            if not link.is_symlink() or link.exists():
                return False
            link.unlink()
        return True

    def recount(self, digest: Digest, fd: int, used: float) -> int | None:
        """The size in the index of a right file is made to be the file's; returns what it was before where that was
        another, -1 where the index did not know it: who may see it is told anew at the next start."""
        key, size = str(digest), os.fstat(fd).st_size
        if self._database.read("SELECT 1 FROM blobs WHERE key = ? AND size = ?", key, size):
            return None
        with self._database.transaction() as db:
            row = db.execute("SELECT size FROM blobs WHERE key = ?", (key,)).fetchone()
            if row == (size,) or not is_at(fd, blob_path(self._root, digest)):
                return None
            if row is not None:
                db.execute("UPDATE blobs SET size = ? WHERE key = ?", (size, key))
                return int(row[0])
            db.execute(
                "INSERT INTO blobs (key, size, used, pinned) VALUES (?, ?, ?, ?)", (key, size, used, covered(db, key))
            )
            db.execute("UPDATE totals SET recovered = 0")
        return -1

    def uncount(self, digest: Digest, note: Note) -> bool:
        """A blob whose file has gone; says whether it had."""
        key = str(digest)
        with self._database.transaction() as db:
            if key in self._partials.publishing(db) or blob_path(self._root, digest).exists():  # in this order
                return False
            gone = db.execute("DELETE FROM blobs WHERE key = ?", (key,)).rowcount == 1
            if gone:
                note()
        if gone:
            self._generation.bump()
        return gone
