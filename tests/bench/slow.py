"""Memory of the server while clients that hardly read wait on cold blobs: ``python -m tests.bench.slow``.

Each takes the headers and a first byte, and then nothing: what the server holds for it is what is measured.
"""

import argparse
import asyncio
import contextlib
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from tests.bench.parties import Upstream, apprproxy, distribution, has_peer, running, table
from tests.bench.upstream import digest_of
from tests.peers.process import Process, get

MIB = 1 << 20


def resident(process: Process) -> float:
    """MiB, of the process that listens on its port."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


async def begun(url: str) -> asyncio.StreamWriter:
    """A client that has read one byte of the body."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=1 << 12)
    writer.write(f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(1)
    return writer


async def waiting(process: Process, url: str, clients: int) -> float:
    """MiB while all of them wait."""
    writers = await asyncio.gather(*(begun(url) for _ in range(clients)))
    with contextlib.closing(writers[0]):
        await asyncio.to_thread(get, process.host, "/v2/")
        used = resident(process)
    for writer in writers:
        writer.close()
    return used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=64)
    parser.add_argument("--clients", type=int, default=500)
    chosen = parser.parse_args()
    size = chosen.mib * MIB
    parties = {"apprproxy, patience 0s": apprproxy(patience="0s")}
    if has_peer():
        parties["distribution (proxy)"] = distribution
    rows = []
    for name, party in parties.items():
        with (
            TemporaryDirectory() as folder,
            Upstream(Path(folder), size) as upstream,
            running(party, upstream) as (process, url),
        ):
            idle = resident(process)
            used = asyncio.run(waiting(process, f"{url}/blobs/{digest_of(size)}", chosen.clients))
        each = (used - idle) * 1024 / chosen.clients
        rows.append((name, f"{idle:.0f} MiB", f"{used:.0f} MiB", f"{each:.0f} KiB"))
    table((f"{chosen.clients} slow, {chosen.mib} MiB cold", "idle", "all waiting", "per client"), rows)


if __name__ == "__main__":
    main()
