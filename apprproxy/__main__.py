"""``python -m apprproxy``, and the installed command: what surrounds a process is made bearable before it begins."""

import errno
import gc
import io
import os
import sys

INTERRUPTED = 130
"""The status of what Ctrl-C ended, as shells say it."""
_UNWRITTEN = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


def main() -> None:
    _open_closed()
    try:
        gc.disable()  # all that is imported stays: looking through it again and again takes a fifth of the start
        from apprproxy.cli import main as command  # noqa: PLC0415 — takes a moment, in which one may stop it

        gc.freeze()
        gc.enable()
        command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.errno not in _UNWRITTEN or error.filename is not None:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left would be tried once more at the end
        sys.stderr.write(f"error: cannot write: {error.strerror}\n")
        sys.exit(1)


def _open_closed() -> None:
    """The next file to be opened, of the cache perhaps, would stand in for a stream that was closed. A character that
    this terminal has not got is written by its number."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(fd)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    main()
