"""Growing files by digest: at most one process fills each, the others read along, and whoever comes next continues.

- ``ingest/<algorithm>-<hex>.part`` and the lock on it are where all processes of a cache meet.
- A sidecar says what is expected and whose bytes they are; whoever continues hashes anew what is there, once somebody
  sends the rest: to be asked for bytes that an upstream has left costs nothing.
"""

import json
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from apprproxy.core.digest import Check, Digest
from apprproxy.core.label import Label
from apprproxy.core.model import Contribution, Expected
from apprproxy.core.ports.store import Elsewhere
from apprproxy.store.blobs.held import FileHeld, GrowingFile
from apprproxy.store.blobs.ingest import DiskIngest, Yard
from apprproxy.store.blobs.part import OpenPart, open_part
from apprproxy.store.directory.locked import is_at

_MAX_SIDECAR = 64 * 1024


class Partial:
    """A growing file that this process fills; ``leave`` it."""

    def __init__(self, part: OpenPart, yard: Yard, expected: Expected, parts: tuple[Contribution, ...]) -> None:
        self._ingest = DiskIngest(part, yard, expected)
        self._part = part
        self._yard = yard
        self._expected = expected
        self.parts = parts
        self.growing = GrowingFile(part.reader())
        self.write = self._ingest.write
        self.verify = self._ingest.verify
        self.commit = self._ingest.commit

    @property
    def size(self) -> int:
        return self._ingest.size

    def watch(self, grown: Callable[[], None]) -> None:
        self._ingest.grown = grown

    async def begins(self, upstream: str, source: str, due: int | None) -> None:
        """What is written from here on comes from there; ``due`` is the size of the whole, where it is known."""
        await self._ingest.drain()
        self._ingest.source, self._ingest.due = Label(upstream, source).name, due
        await self._ingest.look()
        contribution = Contribution(upstream, source, self.size)
        if not self.parts or self.parts[-1] != contribution:
            self.parts = (*begun(self.parts, self.size), contribution)
            whose = {one.upstream: self._yard.identities.get(one.upstream, "") for one in self.parts}
            await self._ingest.run(_write_sidecar, self._part.sidecar, self._expected, self.parts, whose, due)

    async def leave(self, *, keep: bool) -> None:
        """Without ``keep`` what is there is thrown away."""
        try:
            await self._ingest.leave(keep=keep)
        finally:
            del self.growing  # whoever reads it has it; a failure may hold this in a cycle, and with it the disk's room

    def drop(self) -> None:
        """Give back what was never begun. Blocking."""
        if not os.fstat(self._part.fd).st_size:
            self._part.remove()
        self._part.close()


def begun(parts: tuple[Contribution, ...], size: int) -> tuple[Contribution, ...]:
    """Those of which there is a byte: who broke off before its first one has contributed nothing."""
    return tuple(part for part in parts if part.start < size)


def part_name(expected: Expected, whose: str = "") -> str:
    """Of the file that all share, or of that of an upstream; told in a few letters, for its name may have any."""
    digest, apart = expected.digest, f"-apart-{Digest.of(whose.encode()).hex[:16]}" if whose else ""
    return f"{'unpacked-' if expected.unpacked else ''}{digest.algorithm}-{digest.hex}{apart}.part"


def claim(
    yard: Yard, expected: Expected, of: tuple[str, bool], find: Callable[[Expected], FileHeld | None]
) -> FileHeld | Elsewhere | Partial:
    """Blocking. The bytes if they are held; whoever is filling them; or the right to do it. ``of`` is whose the file is
    to be, and whether it must be that one's alone. Raises OSError."""
    while True:
        held = find(expected)
        if held is not None:
            return held
        path = _path(yard.root / "ingest", expected, *of)
        fd, locked = open_part(path)
        if not locked:
            size = os.fstat(fd).st_size  # first: what is written from now on may be somebody else's
            parts, due = read_sidecar(path.with_suffix(".json"), expected, yard.identities)
            if is_at(fd, path):
                return Elsewhere(GrowingFile(fd), size, parts, due)
            os.close(fd)  # it was thrown away, and what was read may be of the next one
            continue
        part = OpenPart(fd, path, Check(expected.content.algorithm if expected.content else "sha256"))
        try:
            ours = _taken(part, yard, expected, find)
        except BaseException:
            part.close()  # a lock that nobody minds would be held for as long as this process lives
            raise
        if ours is not None:
            return ours


def _path(folder: Path, expected: Expected, whose: str, apart: bool) -> Path:
    """What an upstream has left in a file of its own is gone on with."""
    own = folder / part_name(expected, whose)
    if apart or (whose and has_some(own)):
        return own
    return folder / part_name(expected)


def has_some(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _taken(
    part: OpenPart, yard: Yard, expected: Expected, find: Callable[[Expected], FileHeld | None]
) -> FileHeld | Partial | None:
    """None where it was thrown away: nobody knows whose it is, it is longer than it was to become, or it is a package,
    which is only ever taken whole."""
    held = find(expected)  # whoever had the lock before may have committed
    if held is not None:
        part.remove()
        part.close()
        return held
    there = os.fstat(part.fd).st_size
    if there == 0:
        return Partial(part, yard, expected, ())
    parts, due = read_sidecar(part.sidecar, expected, yard.identities)
    if parts and expected.content is not None and (due is None or there <= due):
        return Partial(part, yard, expected, parts)
    part.remove()
    yard.cap.release(part.path.name)
    part.close()
    return None


def read_sidecar(
    path: Path, expected: Expected, identities: Mapping[str, str]
) -> tuple[tuple[Contribution, ...], int | None]:
    """Who contributed, and the announced size; nothing where it is not to be read, or of who has another identity."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_MAX_SIDECAR))
        if said["expected"] != expected.key:
            return (), None
        parts = tuple(Contribution(str(up), str(source), int(start)) for up, source, start in said["parts"])
        whose = said.get("whose", {})  # which those of an earlier version lack
        if any(whose.get(one.upstream, "") not in ("", identities.get(one.upstream)) for one in parts):
            return (), None
        return parts, said["size"] if isinstance(said["size"], int) else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return (), None


def _write_sidecar(
    path: Path, expected: Expected, parts: tuple[Contribution, ...], whose: Mapping[str, str], size: int | None
) -> None:
    named = [[one.upstream, one.source, one.start] for one in parts]
    said = {"expected": expected.key, "size": size, "parts": named, "whose": whose}
    new = path.with_name(f"{secrets.token_hex(16)}.new")
    try:
        new.write_text(json.dumps(said))
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
