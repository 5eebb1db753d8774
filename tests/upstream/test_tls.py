"""What TLS itself costs an upstream's peer, which no limit on answers sees, is bounded."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from apprproxy.app.lines import client_tls, foreign_tls
from apprproxy.core.digest import Digest
from apprproxy.core.tls import towards_servers
from apprproxy.settings.reach import ClientTls
from apprproxy.upstream.sessions import Line
from tests.fakes.gateway import Gateways, Got
from tests.fakes.raw import Serve, by_tls, serving_by_tls
from tests.peers.certificate import Certificate, certify

TAGS = b'{"name": "a/b", "tags": ["1.0"]}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(TAGS), TAGS)


@asynccontextmanager
async def giving_tickets(count: int, certificate: Certificate) -> AsyncIterator[str]:
    """Sends so many tickets to resume the session by, of some 250 bytes each, before it answers."""
    context = by_tls(certificate)
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

    async with serving_by_tls(serve, context) as url:
        yield url


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


@asynccontextmanager
async def in_chunks(kind: str | None, size: int, count: int, certificate: Certificate) -> AsyncIterator[str]:
    """Answers anything with so many chunks, and frames each of them by records of their own, as Node does."""
    context = by_tls(certificate)
    if kind is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(kind)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(count):
                for part in (b"%x" % size, b"\r\n", bytes(size), b"\r\n"):
                    writer.write(part)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        writer.close()

    async with serving_by_tls(serve, context) as url:
        yield url


async def heard_to_its_end(
    gateways: Gateways, certificate: Certificate, kind: str | None, size: int, count: int
) -> None:
    wanted = Digest.of(bytes(size * count))
    async with in_chunks(kind, size, count, certificate) as url:
        gateway = await gateways.start({"hub": {"kind": "oci", "url": url, "tls": {"ca_file": str(certificate.path)}}})
        got = await gateway.get(f"/v2/hub/a/b/blobs/{wanted}")
        await gateway.close()

    assert 200 == got.status
    assert size * count == len(got.body)


@pytest.mark.parametrize("kind", ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384"])
@pytest.mark.parametrize(("size", "count"), [(10, 5000), (512, 5000), (16384, 1000)])
async def test_an_honest_upstream_that_enciphers_in_blocks_is_heard_to_its_end(
    gateways: Gateways, tmp_path: Path, size: int, count: int, kind: str
) -> None:
    """Each of its records has up to 85 bytes around what it brings: it was ended after some MiB."""
    await heard_to_its_end(gateways, certify("127.0.0.1", tmp_path), kind, size, count)


@pytest.mark.parametrize("kind", [None, "ECDHE+AESGCM"])
async def test_an_honest_upstream_with_small_chunks_is_heard_to_its_end(
    gateways: Gateways, tmp_path: Path, kind: str | None
) -> None:
    """What frames them came as records of two or three bytes, for which the chunks did not make up."""
    await heard_to_its_end(gateways, certify("127.0.0.1", tmp_path), kind, 1024, 5000)


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


def test_who_answers_is_verified_unless_the_operator_says_otherwise_and_elsewhere_always(tmp_path: Path) -> None:
    company, not_at_all = ClientTls(ca_file=certify("127.0.0.1", tmp_path).path), ClientTls(verify=False)
    verified, unverified = (ssl.CERT_REQUIRED, True), (ssl.CERT_NONE, False)

    for settings, own in ((ClientTls(), verified), (company, verified), (not_at_all, unverified)):
        contexts = client_tls("upstreams.hub", settings), foreign_tls("upstreams.hub", settings)
        assert [own, verified] == [(context.verify_mode, context.check_hostname) for context in contexts]


def test_a_server_is_told_what_is_spoken() -> None:
    said = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        Line().tls.wrap_bio(ssl.MemoryBIO(), said, server_hostname="127.0.0.1").do_handshake()

    assert b"\x08http/1.1" in said.read()


def test_a_line_of_which_nothing_is_said_is_bounded_as_well() -> None:
    line, bounded = Line(), towards_servers().sslobject_class

    assert [bounded, bounded] == [line.tls.sslobject_class, line.foreign.sslobject_class]


@pytest.mark.parametrize(
    "passed_over",
    [b"", b"\x15\3\3\0\2\1\x5a", b"\x16\3\3\0\4\0\0\0\0"],
    ids=["at once", "behind an alert", "behind a request"],
)
def test_an_upstream_that_asks_for_keys_that_take_long_is_refused_before_they_are_made(
    tmp_path: Path, passed_over: bytes
) -> None:
    """Of the largest group in a finite field that takes an eighth of a second, at each connection: also behind
    something that the library passes over."""
    certificate = certify("127.0.0.1", tmp_path)
    ours = client_tls("upstreams.hub", ClientTls(ca_file=certificate.path))
    theirs = by_tls(certificate)
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(to_us, to_them, server_hostname="127.0.0.1")
    said = ssl.MemoryBIO()
    server = theirs.wrap_bio(to_them, said, server_side=True)
    for side in (client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    hello, key_share = said.read(), b"\0\x33\0\x24\0\x1d\0\x20"
    assert 1 == hello.count(key_share)
    to_us.write(passed_over + hello.replace(key_share, b"\0\x33\0\x24\x01\x04\0\x20"))

    with pytest.raises(ssl.SSLError, match="in a finite field, which takes too long"):
        client.do_handshake()


@pytest.mark.parametrize(
    ("tickets", "small", "ended"), [(10, 0, False), (10, 300, False), (800, 0, True), (800, 300, True)]
)
def test_records_full_of_tickets_end_a_line_as_empty_ones_do(
    tmp_path: Path, tickets: int, small: int, ended: bool
) -> None:
    """One may hold nine hundred, each of which costs what a record does, with enough beside them to make up for it: a
    KiB, and what encipherment puts around small ones."""
    certificate = certify("127.0.0.1", tmp_path)
    ours = client_tls("upstreams.hub", ClientTls(ca_file=certificate.path))
    assert isinstance(ours, ssl.SSLContext)
    theirs = by_tls(certificate)
    theirs.num_tickets = 0
    theirs.keylog_filename = str(tmp_path / "keys")
    to_us, to_them = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(to_us, to_them, server_hostname="127.0.0.1")
    server = theirs.wrap_bio(to_them, to_us, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    ticket = bytes.fromhex("0400000f 00000e10 00000000 0100 000154 0000")
    enciphered = Enciphered(tmp_path / "keys")
    said = None
    for _ in range(400):
        to_us.write(enciphered.record(22, ticket * tickets) + enciphered.record(23, bytes(1024)))
        for _ in range(small):
            to_us.write(enciphered.record(23, b"x"))
        try:
            while True:
                client.read(64 * 1024)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            said = error.reason
            break

    assert ("too many records that carry nothing" if ended else None) == said


class Enciphered:
    """A server's records, as its library does not make them (RFC 8446, sections 5.2 and 7.3)."""

    def __init__(self, keys: Path) -> None:
        (line,) = (line for line in keys.read_text().splitlines() if line.startswith("SERVER_TRAFFIC_SECRET_0 "))
        secret = bytes.fromhex(line.split()[2])
        self._key, self._start, self._count = AESGCM(_derived(secret, b"key", 32)), _derived(secret, b"iv", 12), 0

    def record(self, kind: int, content: bytes) -> bytes:
        head = b"\x17\3\3" + (len(content) + 1 + 16).to_bytes(2, "big")
        nonce = (int.from_bytes(self._start, "big") ^ self._count).to_bytes(12, "big")
        self._count += 1
        return head + self._key.encrypt(nonce, content + bytes([kind]), head)


def _derived(secret: bytes, name: bytes, length: int) -> bytes:
    said = length.to_bytes(2, "big") + bytes([6 + len(name)]) + b"tls13 " + name + b"\0"
    return HKDFExpand(hashes.SHA384(), length, said).derive(secret)


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return certify("127.0.0.1", tmp_path)


def asking(certificate: Certificate) -> ssl.SSLContext:
    """A server's, that takes a client's certificate and wants none."""
    context = by_tls(certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(certificate.path)
    return context


async def listed(gateways: Gateways, certificate: Certificate, hub: Mapping[str, object], *, verify: bool) -> Got:
    """Tags, of an upstream to which we show our certificate."""
    ours = {"cert": str(certificate.path), "key": str(certificate.key)}
    tls = {"ca_file": str(certificate.path), "verify": verify, **ours}
    gateway = await gateways.start({"hub": {"kind": "oci", "tls": tls, **hub}})
    got = await gateway.get("/v2/hub/a/b/tags/list")
    await gateway.close()
    return got


def saying(answer: Callable[[bytes], bytes], seen: list[object]) -> Serve:
    """``answer`` to each header; of whom it comes is ``seen``."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert"))
        try:
            while True:
                writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    return serve


def tunnelling(asked: list[bytes], seen: list[object]) -> Serve:
    """A forward proxy, which leads to where it is asked to."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peercert"))
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        host, _, port = asked[-1].split()[1].decode().rpartition(":")
        answers, questions = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(passed_on(reader, questions), passed_on(answers, writer))

    return serve


async def passed_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await source.read(64 * 1024):
            sink.write(piece)
            await sink.drain()
    sink.close()


@pytest.mark.parametrize("verify", [True, False])
async def test_our_certificate_is_for_the_upstream_and_not_for_a_host_that_it_may_redirect_to(
    gateways: Gateways, certificate: Certificate, verify: bool
) -> None:
    ours, theirs = list[object](), list[object]()
    async with serving_by_tls(saying(lambda _: ANSWER, theirs), asking(certificate)) as storage:
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {storage}/x\r\nContent-Length: 0\r\n\r\n".encode()
        async with serving_by_tls(saying(lambda _: moved, ours), asking(certificate)) as registry:
            hub = {"url": registry, "redirects": [storage.removeprefix("https://")]}
            got = await listed(gateways, certificate, hub, verify=verify)

    assert 200 == got.status
    assert all(ours)
    assert [None] == theirs


@pytest.mark.parametrize("verify", [True, False])
async def test_nor_for_a_token_server_that_the_operator_named(
    gateways: Gateways, certificate: Certificate, verify: bool
) -> None:
    ours, theirs = list[object](), list[object]()
    token = b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"token":"t"}'
    async with serving_by_tls(saying(lambda _: token, theirs), asking(certificate)) as realm:
        refusal = f'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="{realm}/t"\r\nContent-Length: 0\r\n\r\n'.encode()

        def answer(head: bytes) -> bytes:
            return ANSWER if b"Authorization: Bearer t" in head else refusal

        async with serving_by_tls(saying(answer, ours), asking(certificate)) as registry:
            hub = {"url": registry, "auth": {"realms": [realm.removeprefix("https://")]}}
            got = await listed(gateways, certificate, hub, verify=verify)

    assert 200 == got.status
    assert all(ours)
    assert [None] == theirs


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_nor_for_a_proxy_on_the_way_to_it_which_is_verified(
    gateways: Gateways, certificate: Certificate, tmp_path: Path, known: bool, verify: bool
) -> None:
    (tmp_path / "proxy").mkdir()
    its = certificate if known else certify("127.0.0.1", tmp_path / "proxy")
    ours, theirs, asked = list[object](), list[object](), list[bytes]()
    async with (
        serving_by_tls(saying(lambda _: ANSWER, ours), asking(certificate)) as registry,
        serving_by_tls(tunnelling(asked, theirs), asking(its)) as proxy,
    ):
        hub = {"url": registry, "proxy": proxy.replace("//", "//bob:s3cret@")}
        got = await listed(gateways, certificate, hub, verify=verify)

    assert (200 if known else 502) == got.status
    assert known == bool(asked)
    assert ([None] if known else []) == theirs
    assert all(ours)
