"""Is it where a gateway looks for it? The index counts files, and does not see that one of them goes."""

from pathlib import Path

from apprproxy.core.model import Expected
from apprproxy.store.part import blob_path, linked_content


def is_there(root: Path, expected: Expected) -> bool:
    """A tar is, where a link leads from it to a package. Blocking."""
    content = expected.content or linked_content(root, expected.digest)
    return content is not None and blob_path(root, content).exists()
