"""Who uses the index, and whether it is to be looked through before it is used.

- Whoever uses it holds a shared lock, and is alone with it where nobody else does. Only then is it replaced: the others
  would go on in the file that was set aside.
- A log beside it that nobody has open is left of a process that did not end. A bad page that anybody met is marked by
  a file, until somebody who is alone has begun anew. What the disk did not give may be back: that only makes the next
  one look.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path


class Users:
    """``path`` is the sqlite file's. Blocking; raises OSError. ``leave`` it, with the file closed."""

    def __init__(self, path: Path) -> None:
        self._log = path.with_name(f"{path.name}-wal")
        self._mark = path.with_suffix(".suspect")
        self._doubt = path.with_suffix(".doubtful")
        # a folder that is there in any case: a file of our own may be made by root, and be nobody else's to open
        self._fd = os.open(path.with_name("blobs"), os.O_RDONLY | os.O_DIRECTORY)
        self.alone = False
        self.suspicious = False

    def enter(self) -> None:
        """While nobody else may, and before the file is opened here, be it to read."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.alone = True
        except BlockingIOError:
            self.alone = False
        fcntl.flock(self._fd, fcntl.LOCK_SH)
        self.suspicious = self.alone and (self._log.exists() or self.marked or self._doubt.exists())

    @property
    def marked(self) -> bool:
        """Has somebody met a bad page?"""
        return self._mark.exists()

    def mark(self) -> None:
        with suppress(OSError):  # then it is met again
            self._mark.touch(mode=0o600)

    def doubt(self) -> None:
        """A page was not given."""
        with suppress(OSError):
            self._doubt.touch(mode=0o600)

    def clear(self) -> None:
        """It is sound now."""
        for file in (self._mark, self._doubt):
            file.unlink(missing_ok=True)

    def leave(self) -> None:
        os.close(self._fd)
