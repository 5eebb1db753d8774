"""Somebody who may not look into a directory: not its owner, and not root either."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def closed(directory: Path) -> Iterator[None]:
    """Until it is left, this process is such a one."""
    root = os.geteuid() == 0
    directory.chmod(0)
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        directory.chmod(0o700)
