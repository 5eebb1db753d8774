"""A blob's file, opened: a regular file of the size that was kept. Whatever else stands there is a miss, not an answer.

- Nothing is followed, and nothing is waited for: a link would show another file, a pipe would hold the thread for ever.
- What the disk does not give is a miss as well, also where that turns out only when it is read. It is set aside where
  the file is at fault: not this process, and not the disk as a whole.
- What is small is hashed anew: it goes into memory, and would be served from there when the file has long been put
  right. What is larger is as right as its size; ``cache verify`` reads it.
"""

import errno
import os
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.events import Observer, SetAside
from apprproxy.store.blobs.cap import Cap
from apprproxy.store.blobs.held import FileHeld
from apprproxy.store.blobs.hot import LARGEST
from apprproxy.store.blobs.part import blob_path
from apprproxy.store.directory.locked import is_at
from apprproxy.store.directory.place import takes_files
from apprproxy.store.directory.quarantine import quarantined

NO_FILE = {errno.ELOOP, errno.ENXIO}
"""A link; a socket."""

BAD = {errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EACCES, errno.EPERM}
"""A bad sector, a check sum of the file system's; a file of somebody else's. Not ours to read, and not to be mended."""

SCARCE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
"""Says nothing of the file."""


class Unfit(Exception):
    """``str`` says what is there instead."""


class Opening:
    """Blocking. Raises OSError."""

    def __init__(self, root: Path, cap: Cap, observer: Observer) -> None:
        self._root = root
        self._cap = cap
        self._observer = observer

    def __call__(self, digest: Digest) -> FileHeld | None:
        path = blob_path(self._root, digest)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in SCARCE:
                raise
            self._not_given(path, digest, error)
            return None
        held = FileHeld(fd, digest, partial(self._unreadable, digest))
        try:
            self._judge(fd, held)
        except StoreFailed:
            return None
        except Unfit as unfit:
            if is_at(fd, path):
                self._set_aside(path, digest, str(unfit))
            return None
        return held

    def _judge(self, fd: int, held: FileHeld) -> None:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise Unfit("it is no file")
        kept = self._kept(held.digest)
        if kept is not None and held.size != kept:
            raise Unfit(f"it has {held.size} bytes, and {kept} were kept")
        if held.size <= LARGEST and Digest.of(held.pread(0, held.size), held.digest.algorithm) != held.digest:
            raise Unfit("its bytes are others")

    def _unreadable(self, digest: Digest, fd: int, error: OSError) -> None:
        path = blob_path(self._root, digest)
        with suppress(OSError):
            if is_at(fd, path):
                self._not_given(path, digest, error)

    def _not_given(self, path: Path, digest: Digest, error: OSError) -> None:
        if error.errno in NO_FILE:
            self._set_aside(path, digest, "it is no file")
        elif error.errno in BAD and takes_files(self._root):
            self._set_aside(path, digest, f"it cannot be read: {error.strerror}")

    def _kept(self, digest: Digest) -> int | None:
        with suppress(StoreFailed):  # the file system is the truth, and the index a hint
            return self._cap.counted(digest)
        return None

    def _set_aside(self, path: Path, digest: Digest, reason: str) -> None:
        """The index counts it until its bytes come again: more than there is, never less."""
        with suppress(OSError, StoreFailed):  # it is a miss wherever it stands
            aside = quarantined(self._root, path, f"{digest.algorithm}-{digest.hex}")
            self._observer(SetAside("blob", str(aside), reason))
