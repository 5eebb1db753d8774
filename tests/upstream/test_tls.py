"""What TLS itself costs an upstream's peer, which no limit on answers sees, is bounded."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from apprproxy.app.lines import client_tls, foreign_tls
from apprproxy.settings.reach import ClientTls
from tests.fakes.gateway import Gateways
from tests.peers.certificate import Certificate, certify

TAGS = b'{"name": "a/b", "tags": ["1.0"]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(TAGS), TAGS)


@asynccontextmanager
async def giving_tickets(count: int, certificate: Certificate) -> AsyncIterator[str]:
    """Sends so many tickets to resume the session by, of some 250 bytes each, before it answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key)
    context.num_tickets = count

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("tickets", "status", "said"), [(2, 200, ""), (100, 200, ""), (2000, 502, "too many records that carry nothing")]
)
async def test_records_that_carry_nothing_end_a_line_once_they_are_many(
    gateways: Gateways, tmp_path: Path, tickets: int, status: int, said: str
) -> None:
    """Each costs some microseconds, and a quarter of a MiB of them was taken in one go."""
    certificate = certify("127.0.0.1", tmp_path)
    async with giving_tickets(tickets, certificate) as url:
        gateway = await gateways.start({"hub": {"kind": "oci", "url": url, "tls": {"ca_file": str(certificate.path)}}})
        got = await gateway.get("/v2/hub/a/b/tags/list")
        await gateway.close()

    assert status == got.status
    assert said in got.body.decode()


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("with_authority", [True, False])
def test_no_upstream_chooses_the_numbers_that_keys_are_agreed_with(
    tmp_path: Path, own: bool, with_authority: bool
) -> None:
    """One of ten thousand bits holds up everybody for a second, at each connection."""
    settings = ClientTls(ca_file=certify("127.0.0.1", tmp_path).path) if with_authority else ClientTls()
    context = client_tls("upstreams.hub", settings) if own else foreign_tls("upstreams.hub", settings)

    assert isinstance(context, ssl.SSLContext)
    assert [] == [cipher["name"] for cipher in context.get_ciphers() if cipher["kea"] == "kx-dhe"]
