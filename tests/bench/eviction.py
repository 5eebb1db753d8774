"""Evicting 1,000 of 1,000,000 blobs costs what evicting 1,000 of 10,000 does: `python -m tests.bench.eviction`.

Both caches are built first, each blob with its file (empty, so that a million fit), a repository that shows it and a
link that names it; then they are measured in turn, so that whatever else the machine does hits both alike.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from apprproxy.core.digest import Digest
from apprproxy.store.directory.place import prepare
from apprproxy.store.index.ledger import Ledger
from tests.store.contents import Told

VICTIMS = 1000
SIZE = 1024
CHUNK = 10_000


def build(root: Path, blobs: int) -> Ledger:
    """As many blobs as the cap allows, the first made the longest unused."""
    prepare(root)
    ledger = Ledger(root, blobs * SIZE, time.time, Told())
    for start in range(0, blobs, CHUNK):
        keys = [str(Digest.of(b"%d" % number)) for number in range(start, min(start + CHUNK, blobs))]
        for key in keys:
            algorithm, _, name = key.partition(":")
            (root / "blobs" / algorithm / name).touch()
        with ledger.database.transaction() as db:
            db.executemany(
                "INSERT INTO blobs (key, size, used) VALUES (?, ?, ?)",
                [(key, SIZE, float(start + at)) for at, key in enumerate(keys)],
            )
            db.executemany("INSERT INTO members VALUES (?, 'hub', 'a/b', 'owner', 0)", [(key,) for key in keys])
            db.executemany(
                "INSERT INTO links VALUES (?, ?, 1024)", [(key, keys[at // 10 * 10]) for at, key in enumerate(keys)]
            )
    return ledger


def evict(ledger: Ledger, part: str) -> float:
    """Seconds to make room for so many; the room is given back to no blob, so that the next time evicts as many."""
    before, begun = ledger.totals().blobs, time.perf_counter()
    ledger.reserve(part, VICTIMS * SIZE)
    seconds = time.perf_counter() - begun
    assert before - VICTIMS == ledger.totals().blobs
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    with TemporaryDirectory() as folder:
        counts = (chosen.small, chosen.large)
        ledgers = [build(Path(folder, str(count)), count) for count in counts]
        rounds = [[evict(ledger, f"{number}.part") for ledger in ledgers] for number in range(chosen.rounds)]
        for ledger in ledgers:
            ledger.close()
    medians = [statistics.median(times) for times in zip(*rounds, strict=True)]
    print(f"{'blobs held':>12} {'median':>10} {'fastest':>10} {'slowest':>10}   to evict {VICTIMS}")
    for count, median, times in zip(counts, medians, zip(*rounds, strict=True), strict=True):
        print(f"{count:>12,} {median * 1e3:>8.1f}ms {min(times) * 1e3:>8.1f}ms {max(times) * 1e3:>8.1f}ms")
    print(f"ratio of the medians: {medians[1] / medians[0]:.2f}")
    return 0 if medians[1] <= 2 * medians[0] else 1


if __name__ == "__main__":
    sys.exit(main())
