"""Clients that hardly read hold neither a transfer nor memory of a server process."""

from contextlib import AsyncExitStack
from pathlib import Path

from tests.fakes.clock import until
from tests.fakes.content import digest, some_bytes
from tests.fakes.raw import wire
from tests.fakes.registry import Registry
from tests.model.held import Directory
from tests.model.nursery import nursery
from tests.model.server import Server

MIB = 1 << 20
BLOB = some_bytes(32 * MIB)
PATH = f"/v2/hub/library/app/blobs/{digest(BLOB)}"
CLIENTS = 40


async def test_clients_that_take_a_byte_now_and_then_cost_less_than_a_mebibyte_each(tmp_path: Path) -> None:
    cache = Directory(tmp_path / "cache")
    async with Registry() as owner:
        owner.add_blob("library/app", BLOB)
        settings = {
            "cache": {"directory": str(cache.root)},
            "delivery": {"patience": "0s"},
            "upstreams": {"hub": {"kind": "oci", "url": owner.url}},
        }
        with nursery() as nest:
            server = Server(nest, tmp_path, "gateway", settings)
            await server.begin()
            idle = server.resident()
            async with AsyncExitStack() as stack:
                for _ in range(CLIENTS):
                    client = await stack.enter_async_context(wire(server.url, limit=1024, window=4096))
                    await client.send(f"GET {PATH} HTTP/1.1\r\nHost: gateway\r\n\r\n")
                    await client.head()
                    await client.reader.readexactly(1)
                await until(lambda: digest(BLOB) in cache.blobs())
                waiting = server.resident()
                quick = await server.pull(PATH)
            await server.end()

    assert 1 == owner.count("GET blob")
    assert (200, BLOB) == quick
    assert waiting - idle < CLIENTS * MIB
