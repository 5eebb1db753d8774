"""A small file that is whole at every moment: written aside, synced, renamed."""

import os
import secrets
from pathlib import Path

from apprproxy.core.errors import StoreFailed


def write_whole(path: Path, content: bytes) -> None:
    """Makes the folder, too. Blocking; raises StoreFailed."""
    part = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise StoreFailed(f"{path} cannot be written: {error.strerror}") from error


def read_whole(path: Path, limit: int) -> bytes | None:
    """None where there is none, or it is larger than anything that was written. Blocking; raises StoreFailed."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(f"{path} cannot be read: {error.strerror}") from error
    return content if len(content) <= limit else None
