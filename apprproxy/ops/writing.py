"""The log on its way out: whoever reads it slowly, or no more, keeps nobody else waiting."""

import logging
import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

MOST = 4 * 1024 * 1024
"""Bytes of lines that wait to be written: some ten thousand requests. Beyond, lines are lost, and counted."""
AT_ONCE = 64 * 1024
LAST = 2.0
"""Seconds in which the last lines are taken, or are lost."""


class Writer(logging.Handler):
    """Writes whole lines to a descriptor, from a thread of its own: a pipe that is full lets who writes wait.
    ``close`` it."""

    def __init__(self, fd: int, most: int = MOST) -> None:
        super().__init__()
        self._fd = fd
        self._most = most
        self._lines: deque[bytes] = deque()
        self._waiting = self._lost = 0
        self._closing = self._torn = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode(errors="backslashreplace") + b"\n"
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if self._waiting + len(line) > self._most:
                self._lost += 1
                return
            self._waiting += len(line)
            self._lines.append(line)
            self._changed.notify()

    def _run(self) -> None:
        while lines := self._next():
            written = self._written(b"".join(lines))
            with self._changed:
                self._waiting -= sum(map(len, lines))
                self._lost += 0 if written else len(lines)
                lost, self._lost = (self._lost, 0) if written else (0, self._lost)
            if lost:
                logging.getLogger("apprproxy").warning("log lines were lost", extra={"lines": lost})

    def _next(self) -> list[bytes]:
        """None once it is closed, and all are written."""
        with self._changed:
            while not self._lines and not self._closing:
                self._changed.wait()
            lines, size = list[bytes](), 0
            while self._lines and size < AT_ONCE:
                lines.append(self._lines.popleft())
                size += len(lines[-1])
            return lines

    def _written(self, lines: bytes) -> bool:
        left = b"\n" + lines if self._torn else lines
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody who has it as well does not want to wait
                select.select([], [self._fd], [])
            except OSError:  # its reader has gone, or its disk is full, which may end
                self._torn = self._torn or left != lines
                return False
        self._torn = False
        return True

    def close(self) -> None:
        """What comes later is lost."""
        if self._closing:  # the library does so once more at the end
            return
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(LAST)
        super().close()


@contextmanager
def written(fd: int) -> Iterator[Writer]:
    writer = Writer(fd)
    try:
        yield writer
    finally:
        writer.close()
