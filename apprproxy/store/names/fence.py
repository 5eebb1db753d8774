"""A diskcache that keeps small bytes under text keys and nothing else.

diskcache pickles whatever is not plain, and a pickled row is executed when it is read (CVE-2025-69872): whoever can
write the file could run code here. So nothing is ever pickled, and a pickled row is refused, not read. Its defaults
also lose records silently (a size limit with eviction), and keep larger values in files that are not fsynced.
"""

from pathlib import Path
from typing import Any

import diskcache
from diskcache.core import MODE_RAW, UNKNOWN

from apprproxy.core.errors import StoreFailed
from apprproxy.store.directory.sharing import PATIENCE

MAX_RECORD = 4096
ADVICE = (
    "stands in the names database, which only somebody else, or a bad disk, can have put there; see who may write to"
    " the cache directory, and start its gateways anew with an empty file `cache.suspect` in its folder `names`, which"
    " sets the database aside and keeps all else"
)


class Tampered(StoreFailed):
    """A row that this program cannot have written."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache ships no types
    def put(self, key: Any) -> Any:
        if type(key) is not str:
            raise TypeError(f"keys are text, not {type(key).__name__}")
        return super().put(key)

    def get(self, key: Any, raw: bool) -> Any:
        if not raw or type(key) is not str:
            raise Tampered(f"a pickled key {ADVICE}")
        return super().get(key, raw)

    def store(self, value: Any, read: bool, key: Any = UNKNOWN) -> Any:
        if type(value) is not bytes or read or len(value) > MAX_RECORD:
            raise TypeError(f"records are at most {MAX_RECORD} bytes")
        return super().store(value, read, key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode != MODE_RAW or filename is not None or read or type(value) is not bytes:
            raise Tampered(f"a row that is not plain bytes {ADVICE}")
        return super().fetch(mode, filename, value, read)


def open_records(directory: Path) -> diskcache.Cache:
    """``str -> bytes`` records, durable when a call returns, none ever evicted. Blocking."""
    directory.chmod(0o700)
    return diskcache.Cache(
        str(directory),
        timeout=PATIENCE,
        disk=PlainDisk,
        eviction_policy="none",
        cull_limit=0,
        statistics=0,
        sqlite_synchronous=2,  # FULL: a commit that returned survives a power cut
        sqlite_mmap_size=0,  # a bad sector, or a file that was cut short, would be a signal
        disk_min_file_size=MAX_RECORD + 1,
    )


def keys_below(records: diskcache.Cache, prefix: str, condition: str, value: bytes) -> list[str]:
    """Those that begin so, which the index of the keys finds: what it costs does not grow with all others. Of these
    those whose record, ``value`` there, meets sqlite's ``condition`` with this one, so that no other is taken out to be
    looked at. Blocking; within a transaction of this thread as that sees them."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    below = f"SELECT key FROM Cache WHERE raw = 1 AND key >= ? AND key < ? AND {condition}"
    return [key for (key,) in records._sql(below, (prefix, end, value)).fetchall()]
