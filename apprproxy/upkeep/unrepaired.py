"""What verifications found wrong and nobody has fetched since: the index forgets it with the blob.

In files of its own in the cache directory, which can be deleted at any time: one of lines for what a verification finds
while it runs, which may be broken off, and one for what is left of it in the end.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from apprproxy.core.digest import MalformedDigest
from apprproxy.core.errors import StoreFailed
from apprproxy.core.model import MIB, Expected
from apprproxy.store.directory.whole import read_whole, write_whole
from apprproxy.upkeep.findings import Fault, Finding
from apprproxy.upkeep.there import Counted, is_there

MOST = 50_000
"""Findings. Beyond that it is the disk."""
_LARGEST = 256 * MIB
_FINDINGS = TypeAdapter(list[Finding])
_FINDING = TypeAdapter(Finding)


def load(root: Path, counted: Counted, seen: Iterable[Finding] = ()) -> list[Finding]:
    """Those that are still not there, without ``seen``, which were found anew."""
    keys = {finding.key for finding in seen}
    found = {one.key: one for one in (*_noted(root), *_read(root))}.values()
    return [replace(one, fault=Fault.BEFORE) for one in found if one.key not in keys and not _held(root, one, counted)]


def note(root: Path, finding: Finding) -> None:
    """Before the index forgets it; ``save`` it in the end. For threads. Blocking."""
    with suppress(OSError):  # then it is told all the same
        fd = os.open(_lines(root), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.write(fd, _FINDING.dump_json(finding) + b"\n")
        finally:
            os.close(fd)


def save(root: Path, findings: Iterable[Finding]) -> None:
    """Raises StoreFailed."""
    some = list(findings)[:MOST]
    if some or _path(root).exists():
        write_whole(_path(root), _FINDINGS.dump_json(some))
    with suppress(OSError):
        _lines(root).unlink(missing_ok=True)


def _path(root: Path) -> Path:
    return root / "unrepaired.json"


def _lines(root: Path) -> Path:
    return root / "unrepaired.lines"


def _noted(root: Path) -> Iterator[Finding]:
    """By one that was broken off; the last line may be half of one."""
    with suppress(StoreFailed):
        for line in (read_whole(_lines(root), _LARGEST) or b"").splitlines()[:MOST]:
            with suppress(ValidationError):
                yield _FINDING.validate_json(line)


def _read(root: Path) -> list[Finding]:
    """Nothing where it cannot be read: then it is for the next client to fetch."""
    try:
        return _FINDINGS.validate_json(read_whole(_path(root), _LARGEST) or b"[]")
    except (StoreFailed, ValidationError):
        return []


def _held(root: Path, finding: Finding, counted: Counted) -> bool:
    """Also what is no key: then nothing can be done about it."""
    try:
        return is_there(root, Expected.of_key(finding.key), counted)
    except MalformedDigest:
        return True
