"""A cold blob for one client, beside the upstream asked directly and the peer: ``python -m tests.bench.cold``."""

import argparse
import statistics
import time
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tests.bench.parties import Upstream, apprproxy, distribution, has_peer, running, table
from tests.bench.upstream import digest_of


def pull(url: str) -> float:
    """Seconds until the last byte."""
    parts = urlsplit(url)
    begun = time.perf_counter()
    connection = HTTPConnection(parts.netloc)
    connection.request("GET", parts.path)
    answer = connection.getresponse()
    assert answer.status == 200
    while answer.read(1 << 20):
        pass
    connection.close()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    size = chosen.mib << 20
    blob = f"/blobs/{digest_of(size)}"
    parties = {"apprproxy": apprproxy(), "apprproxy, patience 0s": apprproxy(patience="0s")}
    if has_peer():
        parties["distribution (proxy)"] = distribution
    times: dict[str, list[float]] = {name: [] for name in ("direct", *parties)}
    with TemporaryDirectory() as folder, Upstream(Path(folder), size) as upstream:
        for _ in range(chosen.rounds):  # in turn, so that whatever else the machine does hits all alike
            times["direct"].append(pull(f"{upstream.url}/v2/library/app{blob}"))
            for name, party in parties.items():
                with running(party, upstream) as (_, url):
                    times[name].append(pull(url + blob))
    direct = statistics.median(times["direct"])
    rows = [
        (
            name,
            f"{statistics.median(taken):.2f} s",
            f"{min(taken):.2f} s",
            f"{max(taken):.2f} s",
            f"{statistics.median(taken) / direct:.2f}",
        )
        for name, taken in times.items()
    ]
    table((f"{chosen.mib} MiB, cold", "median", "fastest", "slowest", "to direct"), rows)


if __name__ == "__main__":
    main()
