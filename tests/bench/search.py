"""How long a search among 100,000 names takes, and what they cost in memory: `python -m tests.bench.search`."""

import argparse
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Iterator

from apprproxy.core.listing import Listed
from apprproxy.search.corpus import Corpus

QUERIES = (
    "nginx",
    "a",
    "operator",
    "org-0042/nginx-exporter-00042",
    "ngnix",
    "promtheus-operater",
    "prometheus-agent-9999",
    "zzzzzzzz",
    "00",
    "x" * 256,
    "-",
    "aaaa-aaaa-aaaa",
    "00x01-01x02-02x03",
    "-".join(f"0{one % 10}x{one // 10}" for one in range(50)),
)
_FIRST = ("nginx", "prometheus", "redis", "postgres", "kafka", "grafana", "etcd", "vault", "istio", "argo")
_SECOND = ("operator", "exporter", "agent", "server", "proxy", "ui", "chart", "sidecar", "init", "tools")


def names(count: int) -> Iterator[str]:
    for number in range(count):
        first, second = _FIRST[number % 10], _SECOND[number // 10 % 10]
        yield f"org-{number % 5000:04d}/{first}-{second}-{number:05d}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=50)
    chosen = parser.parse_args()
    tracemalloc.start()
    begun = time.perf_counter()
    corpus = Corpus([Listed(name, "1.0.0", 3) for name in names(chosen.names)])
    built = time.perf_counter() - begun
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    print(f"{len(corpus):,} names: {held / 2**20:.0f} MiB, built (while traced) in {built:.1f} s")
    worst = 0.0
    for text in QUERIES:
        taken = []
        for _ in range(chosen.rounds):
            begun = time.perf_counter()
            found = corpus.find(text, 21)
            taken.append(time.perf_counter() - begun)
        median = statistics.median(taken)
        worst = max(worst, median)
        print(
            f"{text[:32]:>32}  {len(found):>3} found  median {median * 1e3:7.3f} ms  slowest {max(taken) * 1e3:7.3f} ms"
        )
    return 0 if worst < 0.020 else 1


if __name__ == "__main__":
    sys.exit(main())
