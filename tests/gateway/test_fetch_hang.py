"""An upstream that breaks the framing of its body in the middle fails its transfer: nobody waits for ever."""

from tests.fakes.gateway import Gateways
from tests.fakes.raw import answering

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: application/octet-stream\r\n\r\n"
BLOB = f"/v2/hub/library/app/blobs/sha256:{'1' * 64}"


async def test_a_malformed_chunk_in_a_later_packet_ends_the_flight(gateways: Gateways) -> None:
    async with answering(HEAD + b"5\r\nhello\r\n", b"ZZZZ\r\nboo") as url:
        upstream = {"kind": "oci", "url": url, "timeouts": {"read": "200ms"}}
        gateway = await gateways.start({"hub": upstream})
        failed = await gateway.get(BLOB)

        assert failed.status in (502, 504)
        assert 0 == gateway.metric("apprproxy_flights")
