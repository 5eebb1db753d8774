"""Transactions of the names' database: one that another process holds is waited for once, and hardly at all after."""

from collections.abc import Iterator
from contextlib import contextmanager

import diskcache

from apprproxy.core.errors import StoreFailed
from apprproxy.store.directory import sharing


class Writing:
    """For one thread at a time: each has a connection of its own."""

    def __init__(self, records: diskcache.Cache) -> None:
        self._records = records
        self._held = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Raises StoreFailed where it is not to be had. Blocking."""
        patience = sharing.IMPATIENCE if self._held else sharing.PATIENCE
        self._records.reset("sqlite_busy_timeout", round(patience * 1000), update=False)
        try:
            with self._records.transact():
                self._held = False
                yield
        except diskcache.Timeout as error:
            self._held = True
            raise StoreFailed("the names cannot be written: another process has held them for too long") from error
