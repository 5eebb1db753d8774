"""Is it where a gateway looks for it? The index counts files, and does not see one go, or become half one."""

import stat
from collections.abc import Callable
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from apprproxy.store.blobs.part import blob_path, linked_content

Counted = Callable[[Digest], int | None]
"""With how many bytes it was kept, as far as that is known."""


def is_there(root: Path, expected: Expected, counted: Counted) -> bool:
    """A tar is, where a link leads from it to a package. What is no file of the size that was kept is a miss for a
    gateway (``store/blobs/opened.py``). Blocking. Raises StoreFailed."""
    content = expected.content or linked_content(root, expected.digest)
    if content is None:
        return False
    try:
        facts = blob_path(root, content).lstat()
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and counted(content) in (None, facts.st_size)
