"""What stands where a blob should be and is none is kept apart, for whoever wants to know how that came."""

from pathlib import Path

from apprproxy.store.directory.whole import sync_directory


def quarantined(root: Path, path: Path, name: str) -> Path:
    """Move it away; nothing is ever overwritten there, or deleted. Blocking; raises OSError."""
    folder = root / "quarantine"
    folder.mkdir(mode=0o700, exist_ok=True)
    aside, number = folder / name, 1
    while aside.exists() or aside.is_symlink():
        aside, number = folder / f"{name}.{number}", number + 1
    path.rename(aside)
    sync_directory(folder)
    sync_directory(path.parent)
    return aside
