"""Links from tars to packages, made again where a copy has lost them: the index knows which package held which tar."""

import secrets
from collections.abc import Iterator
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Expected
from apprproxy.store.blobs.part import blob_path, link_unpacked, linked_content
from apprproxy.store.index.database import Database
from apprproxy.store.index.pinned import covered

_PAGE = 1000
_TARS = """SELECT unpacked, min(key) FROM blobs WHERE unpacked IS NOT NULL AND unpacked > ?
    GROUP BY unpacked ORDER BY unpacked LIMIT ?"""


class Relinking:
    """Blocking. Raises StoreFailed."""

    def __init__(self, root: Path, database: Database) -> None:
        self._root = root
        self._database = database

    def unlinked(self) -> Iterator[tuple[Digest, Digest]]:
        """Tars that no link leads from, each with a package that the index has for it."""
        last = ""
        while page := self._database.read(_TARS, last, _PAGE):
            for last, content in page:
                tar = Expected.of_key(last).digest
                if linked_content(self._root, tar) is None:
                    yield tar, Digest.parse(content)

    def again(self, tar: Digest, content: Digest) -> bool:
        """The caller has looked what is inside. Says whether it was done: not where the package has gone meanwhile, or
        somebody else has made the link."""
        with self._database.transaction() as db:
            known = (str(content), Expected(unpacked=tar).key)
            held = db.execute("SELECT 1 FROM blobs WHERE key = ? AND unpacked = ?", known)
            if held.fetchone() is None or linked_content(self._root, tar) is not None:
                return False
            part = self._root / "ingest" / f"{secrets.token_hex(16)}.link"
            try:
                link_unpacked(self._root, tar, blob_path(self._root, content), part)
            except OSError as error:
                raise StoreFailed(f"the cache cannot be written: {error.strerror}") from error
        return True

    def own(self, tar: Digest, content: Digest) -> None:
        """The package holds this tar, and a link leads to it; who counted it anew did not know. What pins the tar keeps
        it, and purging that purges it."""
        known = (str(content), Expected(unpacked=tar).key)
        if not self._database.read("SELECT 1 FROM blobs WHERE key = ? AND unpacked IS NULL", known[0]):
            return
        with self._database.transaction() as db:
            db.execute(
                "UPDATE blobs SET unpacked = ?2, pinned = max(pinned, ?3) WHERE key = ?1 AND unpacked IS NULL",
                (*known, covered(db, *known)),
            )

    def disown(self, tar: Digest, content: Digest) -> None:
        """The package holds another tar than the index had."""
        with self._database.transaction() as db:
            known = (str(content), Expected(unpacked=tar).key)
            db.execute("UPDATE blobs SET unpacked = NULL WHERE key = ? AND unpacked = ?", known)
