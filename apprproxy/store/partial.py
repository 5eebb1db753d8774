"""Growing files by digest: at most one process fills each, the others read along, and whoever comes next continues.

- ``ingest/<algorithm>-<hex>.part`` and the lock on it are where all processes of a cache meet.
- A sidecar says what is expected and whose bytes they are; whoever continues hashes anew what is there.
"""

import asyncio
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apprproxy.core.digest import Check
from apprproxy.core.errors import StoreFailed
from apprproxy.core.label import Label
from apprproxy.core.model import Contribution, Expected
from apprproxy.core.ports import Held
from apprproxy.store.held import FileHeld, GrowingFile
from apprproxy.store.ingest import DiskIngest, Yard
from apprproxy.store.part import OpenPart, open_part

_MAX_SIDECAR = 64 * 1024


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another process is at it. ``parts`` and ``due`` are what it has said of where its bytes come from."""

    growing: GrowingFile
    parts: tuple[Contribution, ...]
    due: int | None


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

    @property
    def size(self) -> int:
        return self._ingest.size

    async def begins(self, upstream: str, source: str, due: int | None) -> None:
        """What is written from here on comes from there; ``due`` is the size of the whole, where it is known."""
        await self._ingest.drain()
        self._ingest.source, self._ingest.due = Label(upstream, source).name, due
        contribution = Contribution(upstream, source, self.size)
        if not self.parts or self.parts[-1] != contribution:
            self.parts = (*self.parts, contribution)
            await self._run(_write_sidecar, self._part.sidecar, self._expected, self.parts, due)

    async def commit(self) -> Held:
        held = await self._ingest.commit()
        await self._run(self._part.sidecar.unlink, True)
        return held

    async def leave(self, *, keep: bool) -> None:
        """Without ``keep`` what is there is thrown away."""
        await self._ingest.leave(keep=keep)

    def drop(self) -> None:
        """Give back what was never begun. Blocking."""
        if not self._part.check.size:
            self._part.remove()
        self._part.close()

    async def _run(self, call: Callable[..., Any], *args: Any) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._yard.threads, call, *args)
        except OSError as error:
            raise StoreFailed(f"the cache's disk failed: {error.strerror}") from error


def part_name(expected: Expected) -> str:
    digest = expected.digest
    return f"{'unpacked-' if expected.unpacked else ''}{digest.algorithm}-{digest.hex}.part"


def claim(
    yard: Yard, expected: Expected, find: Callable[[Expected], FileHeld | None]
) -> FileHeld | Elsewhere | Partial:
    """Blocking. The bytes if they are held; whoever is filling them; or the right to do it. Raises OSError."""
    while True:
        held = find(expected)
        if held is not None:
            return held
        path = yard.root / "ingest" / part_name(expected)
        fd, locked = open_part(path)
        if not locked:
            parts, size = read_sidecar(path.with_suffix(".json"), expected)
            return Elsewhere(GrowingFile(fd), parts, size)
        part = OpenPart(fd, path, Check(expected.content.algorithm if expected.content else "sha256"))
        held = find(expected)  # whoever had the lock before may have committed
        if held is not None:
            part.remove()
            part.close()
            return held
        parts, _ = read_sidecar(part.sidecar, expected)
        if os.fstat(fd).st_size == 0:
            return Partial(part, yard, expected, ())
        if parts and expected.content is not None:
            part.rehash()
            return Partial(part, yard, expected, parts)
        part.remove()  # nobody knows whose it is, or it is a package, which is only ever taken whole
        yard.cap.release(path.name)
        part.close()


def read_sidecar(path: Path, expected: Expected) -> tuple[tuple[Contribution, ...], int | None]:
    """Who contributed, and the announced size; nothing where it is not to be read."""
    try:
        with path.open("rb") as file:
            said = json.loads(file.read(_MAX_SIDECAR))
        if said["expected"] != expected.key:
            return (), None
        parts = tuple(Contribution(str(up), str(source), int(start)) for up, source, start in said["parts"])
        return parts, said["size"] if isinstance(said["size"], int) else None
    except (OSError, ValueError, LookupError, TypeError):
        return (), None


def _write_sidecar(path: Path, expected: Expected, parts: tuple[Contribution, ...], size: int | None) -> None:
    said = {"expected": expected.key, "size": size, "parts": [[one.upstream, one.source, one.start] for one in parts]}
    new = path.with_name(f"{secrets.token_hex(16)}.new")
    new.write_text(json.dumps(said))
    os.replace(new, path)
