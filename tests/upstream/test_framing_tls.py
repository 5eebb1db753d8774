"""What an upstream has sent whole before it closed by TLS comes whole, however small its chunks."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from apprproxy.core.model import KIB
from apprproxy.upstream.connector import Connector
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.raw import by_tls, serving_by_tls
from tests.peers.certificate import Certificate, certify

TAGS = [f"1.{minor}" for minor in range(20_000)]
DOCUMENT = json.dumps({"name": "a/b", "tags": TAGS}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"


def in_chunks(content: bytes, size: int) -> bytes:
    pieces = [content[start : start + size] for start in range(0, len(content), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@asynccontextmanager
async def closing(answer: bytes, certificate: Certificate, *, goodbye: bool) -> AsyncIterator[str]:
    """Says ``answer`` by TLS and closes, with the end of TLS or without."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        if goodbye:
            writer.close()
        else:
            writer.transport._ssl_protocol._transport.close()  # type: ignore[attr-defined]  # what was sent, and FIN
            await asyncio.sleep(0)
            writer.transport.abort()

    async with serving_by_tls(serve, by_tls(certificate)) as url:
        yield url


@pytest.mark.parametrize("goodbye", [True, False], ids=["goodbye", "fin"])
@pytest.mark.parametrize("size", [1, 5, 16])
async def test_what_came_before_the_end_is_not_lost(
    gateways: Gateways, tmp_path: Path, size: int, goodbye: bool
) -> None:
    certificate = certify("127.0.0.1", tmp_path)
    async with closing(HEAD + in_chunks(DOCUMENT, size), certificate, goodbye=goodbye) as url:
        gateway = await gateways.start({"hub": {"kind": "oci", "url": url, "tls": {"ca_file": str(certificate.path)}}})
        got = await gateway.get("/v2/hub/a/b/tags/list")
        await gateway.close()

    assert 200 == got.status, got.message
    assert TAGS == json.loads(got.body)["tags"]


async def test_a_body_that_is_read_slowly_comes_whole_though_its_line_has_ended(tmp_path: Path) -> None:
    certificate, content = certify("127.0.0.1", tmp_path), some_bytes(1_150_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(content)
    trust = ssl.create_default_context(cafile=certificate.path)
    async with (
        closing(head + content, certificate, goodbye=True) as url,
        aiohttp.ClientSession(connector=Connector(ssl=trust), read_bufsize=512 * KIB) as session,
        session.get(url) as response,
    ):
        await asyncio.sleep(0.3)
        read = await response.read()

    assert content == read
