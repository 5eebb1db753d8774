"""What is done in a cache for root, by a process of its own that is the cache's owner: what follows needs root."""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from apprproxy.cli.common import go_on_as, went_wrong
from apprproxy.store.directory.becoming import Owner, owner_of

_INTERRUPTED = 130


def apart(directory: Path, work: Callable[[], bytes], most: int) -> bytes:
    """What ``work`` gives, here where there is nobody to become. Whatever ends it, ``sys.exit`` as well, ends this
    process. Not more than ``most`` bytes are read: it is somebody else's. Before there are threads."""
    if (owner := owner_of(directory)) is None:
        return work()
    reading, writing = os.pipe()
    if not (child := os.fork()):
        os.close(reading)
        _work(owner, work, writing)
    os.close(writing)
    with open(reading, "rb") as told:
        said = told.read(most)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        went_wrong(f"the process that does this as {owner.name} was ended by signal {-status}")
    if status:
        sys.exit(status)
    return said


def _work(owner: Owner, work: Callable[[], bytes], writing: int) -> NoReturn:
    """Nothing of what stands above it is left behind twice."""
    status: object = 1
    try:
        go_on_as(owner)
        with open(writing, "wb") as told:
            told.write(work())
        status = 0
    except SystemExit as end:
        status = end.code
    except KeyboardInterrupt:
        status = _INTERRUPTED
    except BaseException:  # the top of a process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 1)
