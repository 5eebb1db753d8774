"""64 clients ask for the same cold blob at once: ``python -m tests.bench.herd``."""

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp

from tests.bench.parties import Upstream, apprproxy, distribution, has_peer, running, table
from tests.bench.upstream import digest_of

MIB = 1 << 20


async def client(session: aiohttp.ClientSession, url: str, size: int) -> tuple[float, float]:
    """Seconds until the first byte, and until the last."""
    begun, first, received = time.perf_counter(), 0.0, 0
    async with session.get(url) as answer:
        assert answer.status == 200
        async for chunk in answer.content.iter_any():
            first = first or time.perf_counter() - begun
            received += len(chunk)
    assert size == received
    return first, time.perf_counter() - begun


async def herd(url: str, clients: int, size: int) -> tuple[float, float]:
    """Seconds until the last of them has its first byte, and all."""
    timeout, connector = aiohttp.ClientTimeout(total=None), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, read_bufsize=MIB) as session:
        taken = await asyncio.gather(*(client(session, url, size) for _ in range(clients)))
    return max(first for first, _ in taken), max(last for _, last in taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    parser.add_argument("--clients", type=int, default=64)
    chosen = parser.parse_args()
    size = chosen.mib * MIB
    blob = f"/blobs/{digest_of(size)}"
    parties = {"apprproxy, patience 10s": apprproxy(), "apprproxy, patience 0s": apprproxy(patience="0s")}
    if has_peer():
        parties["distribution (proxy)"] = distribution
    rows = []
    for name, party in parties.items():
        with TemporaryDirectory() as folder, Upstream(Path(folder), size) as upstream:
            with running(party, upstream) as (_, url):
                first, last = asyncio.run(herd(url + blob, chosen.clients, size))
            gets, sent = upstream.counts()
        rows.append((name, f"{last:.1f} s", f"{first:.2f} s", gets, f"{sent / size:.2f}"))
    table(
        (f"{chosen.clients} x {chosen.mib} MiB, cold", "all served", "last 1st byte", "upstream GETs", "bytes, times"),
        rows,
    )


if __name__ == "__main__":
    main()
