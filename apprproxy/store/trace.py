"""Where bytes came from, as the index remembers it, told for one repository at a time."""

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path
from stat import S_ISREG

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import Expected, Where
from apprproxy.core.trace import CONFIRMED, Came, KeptBytes, Refusal
from apprproxy.store.blobs.part import blob_path, linked_content
from apprproxy.store.index.ledger import Ledger
from apprproxy.store.names.refusals import Refusals


class DiskTraces:
    """Implements Traces, over a ledger and refusals that it does not close."""

    def __init__(self, root: Path, ledger: Ledger, refusals: Refusals) -> None:
        self._root = root
        self._ledger = ledger
        self._refusals = refusals

    async def sources(self, where: Where, expected: Expected) -> Sequence[Came]:
        return await asyncio.to_thread(self._sources, where, expected)

    def _sources(self, where: Where, expected: Expected) -> list[Came]:
        digest = self._content(expected)
        origins = self._ledger.membership.provenance(digest) if digest is not None else []
        mine = [one for one in origins if one.where == where]
        return [Came(source, one.at) for one in mine for source in one.sources or (CONFIRMED,)]

    async def kept(self, expected: Expected) -> KeptBytes | None:
        return await asyncio.to_thread(self._kept, expected)

    def _kept(self, expected: Expected) -> KeptBytes | None:
        digest = self._content(expected)
        if digest is None:
            return None
        try:
            facts = blob_path(self._root, digest).lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreFailed(f"the cache cannot be read: {error.strerror}") from error
        return KeptBytes(digest, facts.st_size, facts.st_mtime) if S_ISREG(facts.st_mode) else None

    async def pinned(self, name: str, digest: Digest) -> bool:
        return await asyncio.to_thread(self._pinned, name, digest)

    def _pinned(self, name: str, digest: Digest) -> bool:
        if name in self._ledger.pinned.pins():
            return True
        return bool(self._ledger.database.read("SELECT 1 FROM blobs WHERE key = ? AND pinned = 1", str(digest)))

    def refused(self, upstream: str, subjects: Iterable[str]) -> Sequence[Refusal]:
        return self._refusals.of(upstream, subjects)

    def _content(self, expected: Expected) -> Digest | None:
        return expected.content or linked_content(self._root, expected.digest)
