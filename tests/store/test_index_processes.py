"""Processes that share a cache never exceed its cap together, also when some are killed in the middle."""

import signal
import subprocess
import sys
from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.store.index.evict import Totals
from apprproxy.store.index.partials import SETTLING
from tests.fakes.clock import Clock
from tests.store.ledgers import CAP, Cache, opened

ROOT = Path(__file__).parents[2]

WRITER = """
import sys, time
from pathlib import Path
from apprproxy.core.errors import NoRoom
from tests.store.ledgers import CAP, Cache

name, count, cache = sys.argv[2], int(sys.argv[3]), Cache(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
worst = done = 0
for number in range(count):
    try:
        cache.put(f"{name} {number}", 50 + number % 7 * 30)
    except NoRoom:
        continue
    done += 1
    totals = cache.ledger.totals()
    worst = max(worst, totals.held + totals.reserved)
print(worst, done, flush=True)
cache.close()
"""


def begin(directory: Path, name: str, count: int) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


def on_disk(directory: Path) -> int:
    return sum(path.stat().st_size for path in (directory / "blobs").rglob("*") if path.is_file())


def assert_it_adds_up(cache: Cache) -> None:
    held = {blob.digest: blob.size for blob in cache.ledger.blobs()}

    assert Totals(len(held), sum(held.values()), 0, cache.ledger.totals().reserved) == cache.ledger.totals()
    assert all(
        held.get(digest) is not None for digest in map(_digest, (cache.root / "blobs").rglob("*")) if digest is not None
    ), "a file that nobody counts"


def _digest(path: Path) -> Digest | None:
    return Digest(path.parent.name, path.name) if path.is_file() else None


def test_processes_never_exceed_the_cap_together(tmp_path: Path) -> None:
    writers = [begin(tmp_path, str(number), 100) for number in range(4)]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate(timeout=60)[0].split() for writer in writers]
    with opened(tmp_path) as cache:
        assert_it_adds_up(cache)

    assert [0] * 4 == [writer.returncode for writer in writers]
    assert max(int(worst) for worst, _ in said) <= CAP
    assert sum(int(done) for _, done in said) > 100
    assert on_disk(tmp_path) <= CAP


def test_what_is_killed_in_the_middle_is_over_counted_never_under_counted(tmp_path: Path) -> None:
    with opened(tmp_path) as cache:
        for number in range(8):
            writer = begin(tmp_path, f"killed {number}", 100_000)
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
            before = cache.ledger.totals()
            while cache.ledger.totals() == before:
                pass
            for _ in range(number * 1000):
                cache.ledger.totals()
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
            totals = cache.ledger.totals()

            assert_it_adds_up(cache)
            assert totals.held + totals.reserved <= CAP
            assert on_disk(tmp_path) <= totals.held
    with opened(tmp_path, later()) as cache:
        cache.ledger.sweep()
        arriving = sum(path.stat().st_size for path in (tmp_path / "ingest").iterdir())

        assert arriving == cache.ledger.totals().reserved


def later() -> Clock:
    """After all that the killed processes reserved has settled; each began at the clock's start."""
    clock = Clock()
    clock.advance(100_000 + SETTLING)
    return clock
