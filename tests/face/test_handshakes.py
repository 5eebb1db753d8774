"""By TLS an answer that nobody takes is as little in memory, and as long under way, as on a plain line."""

import asyncio
import gc
import socket
import ssl
import struct
from asyncio.sslproto import SSLProtocol
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from apprproxy.app.lines import server_tls
from apprproxy.core.events import Event, NotTls, Observer
from apprproxy.core.model import KIB
from apprproxy.core.tls import towards_clients
from apprproxy.face import left, server
from apprproxy.face.exchange import Exchange
from apprproxy.face.handshakes import Handshakes, _Below, _Early, reason_of
from apprproxy.face.send import send_body
from apprproxy.face.server import Connection, Limits, Server
from apprproxy.settings.model import ServerTls
from tests.fakes.clock import PATIENCE, until
from tests.fakes.content import some_bytes
from tests.fakes.gateway import Gateways
from tests.fakes.listening import Handler, counts, served
from tests.fakes.raw import Wire, wire
from tests.fakes.registry import Registry
from tests.fakes.sources import recorder
from tests.peers.certificate import certify

BODY = some_bytes(2_000_000)
END = some_bytes(400_000)
"""Less than asyncio takes in by TLS before it says that nothing is taken."""


class Encrypted:
    """A server with one client that has a small window; ``done`` are the answers that have been sent."""

    def __init__(
        self,
        body: bytes,
        folder: Path,
        limits: Limits,
        handler: Handler | None = None,
        observer: Observer = lambda _: None,
    ) -> None:
        certificate = certify("localhost", folder)
        self.trust = ssl.create_default_context(cafile=certificate.path)
        self.exchanges: list[Exchange] = []
        self.done: list[Exchange] = []
        self.server = Server(handler or self._answer, limits, observer)
        context = towards_clients()
        context.load_cert_chain(certificate.path, certificate.key)
        self._handshakes = Handshakes(self.server, context, limits)
        self._body, self._limits = body, limits

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = Exchange(request, "1", self._limits.stall)
        self.exchanges.append(exchange)
        response = await send_body(exchange, 200, self._body, {})
        self.done.append(exchange)
        return response

    @property
    def stuck(self) -> bool:
        return any(connection.writing_paused for connection in self.server.connections)

    def listening(self) -> AbstractAsyncContextManager[str]:
        return served(self.server, self._handshakes)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Wire]:
        async with (
            self.listening() as url,
            wire(url, limit=1000, window=4096, tls=self.trust) as client,
        ):
            yield client


def asks(*fields: str) -> str:
    return "\r\n".join(("GET / HTTP/1.1", "Host: x", *fields, "", ""))


def test_lines_of_clients_are_bounded_as_those_of_upstreams_are(tmp_path: Path) -> None:
    certificate = certify("127.0.0.1", tmp_path)
    context = server_tls(ServerTls(cert=certificate.path, key=certificate.key))

    assert context is not None
    assert towards_clients().sslobject_class is context.sslobject_class


async def test_a_client_that_reads_nothing_holds_little_by_tls(tmp_path: Path) -> None:
    encrypted = Encrypted(BODY, tmp_path, Limits())
    async with encrypted.client() as client:
        await client.send(asks())
        await until(lambda: encrypted.stuck)
        (connection,) = encrypted.server.connections
        assert isinstance(connection.transport, asyncio.WriteTransport)

        assert connection.transport.get_write_buffer_size() <= 128 * KIB


async def test_an_answer_by_tls_is_sent_when_the_system_has_all_of_it(tmp_path: Path) -> None:
    """Until then its request is under way, for which a gateway that stops waits."""
    encrypted = Encrypted(END, tmp_path, Limits())
    async with encrypted.client() as client:
        await client.send(asks())
        await client.head()
        await asyncio.sleep(0.1)
        sent_early = bool(encrypted.done)
        received = await client.reader.readexactly(len(END))
        await until(lambda: bool(encrypted.done))

    assert not sent_early
    assert END == received


async def test_a_client_that_leaves_the_last_answer_is_dropped_by_tls(tmp_path: Path) -> None:
    encrypted = Encrypted(END, tmp_path, Limits(stall=0.2))
    async with encrypted.client() as client:
        await client.send(asks())
        await until(lambda: bool(encrypted.exchanges))
        await until(lambda: not encrypted.server.connections)

    assert not encrypted.done


async def test_a_slow_client_has_the_end_of_a_last_answer_by_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library gives a line that is closed half a minute for all that is left."""
    monkeypatch.setattr("asyncio.constants.SSL_SHUTDOWN_TIMEOUT", 0.1)
    encrypted = Encrypted(END, tmp_path, Limits())
    async with encrypted.client() as client:
        await client.send(asks("Connection: close"))
        await client.head()
        await asyncio.sleep(0.3)

        assert END == await client.rest()


@pytest.mark.parametrize("tells", [True, False], ids=["at hand", "from the disk"])
async def test_a_held_blob_is_read_whole_by_tls(
    tells: bool, tmp_path: Path, registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(*_: object) -> int:
        raise BlockingIOError

    if not tells:
        monkeypatch.setattr("os.preadv", reads)
    wanted = registry.add_blob("library/app", BODY)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    await gateway.at_rest()
    encrypted = Encrypted(b"", tmp_path, Limits(), gateway.app.door)
    async with encrypted.client() as client:
        await client.send(asks().replace("/", f"/v2/hub/library/app/blobs/{wanted}", 1))
        await client.head()

        assert BODY == await client.reader.readexactly(len(BODY))


async def test_many_answers_by_tls_that_are_asked_for_at_once_come_in_turn(tmp_path: Path) -> None:
    encrypted = Encrypted(some_bytes(50_000), tmp_path, Limits())
    async with encrypted.client() as client:
        await client.send(asks() * 20)
        for _ in range(20):
            await client.head()
            assert some_bytes(50_000) == await client.reader.readexactly(50_000)


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
async def test_a_body_in_chunks_comes_whole_by_tls(size: int, tmp_path: Path) -> None:
    """Also where its connection rests meanwhile."""
    encrypted = Encrypted(b"", tmp_path, Limits(), counts)
    piece = b"%x\r\n%s\r\n" % (size, bytes(size))
    async with encrypted.client() as client:
        for times in (20_000, 1, 2000):
            client.writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + piece * times)
            await client.send("0\r\n\r\n")
            await client.head()

            assert size * times == int(await client.reader.readexactly(9))


@pytest.mark.parametrize("said", ["", asks("Connection: close")], ids=["silent", "answered"])
async def test_who_does_not_answer_the_end_of_tls_holds_no_place_for_it(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GOODBYE", 0.1)
    encrypted = Encrypted(b"", tmp_path, Limits(header=0.2, stall=3600))

    def connected(port: int) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port))
        client = encrypted.trust.wrap_socket(plain, server_hostname="localhost")
        client.sendall(said.encode())
        return client

    async with encrypted.listening() as url:
        with await asyncio.to_thread(connected, int(url.rpartition(":")[2])):
            await until(lambda: bool(encrypted.server.connections))
            await until(lambda: not encrypted.server.connections)


async def test_by_tls_one_that_rests_makes_way_for_one(tmp_path: Path) -> None:
    """Who does not read does not answer the end of TLS either, and held its place beside whom it had made way for."""
    encrypted = Encrypted(b"", tmp_path, Limits(connections=2))

    def none_in_use() -> bool:
        return all(isinstance(one, Connection) and one.unused for one in encrypted.server.connections)

    def answered(client: ssl.SSLSocket) -> bool:
        client.settimeout(5)
        client.sendall(asks().encode())
        return client.recv(65536).startswith(b"HTTP/1.1 200 OK")

    def connected(port: int) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", port))
        return encrypted.trust.wrap_socket(plain, server_hostname="localhost")

    async with encrypted.listening() as url:
        port = int(url.rpartition(":")[2])
        with ExitStack() as clients:
            came = list[ssl.SSLSocket]()
            for _ in range(3):
                came.append(clients.enter_context(await asyncio.to_thread(connected, port)))
                assert await asyncio.to_thread(answered, came[-1])
                await until(none_in_use)

            assert await asyncio.to_thread(answered, came[1])
            assert b"" == await asyncio.to_thread(came[0].recv, 1)


async def test_who_leaves_by_tls_while_nothing_is_read_is_answered_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(left, "LOOK", 3600)
    never = asyncio.Event()

    async def waits(_: web.BaseRequest) -> web.StreamResponse:
        await never.wait()
        raise AssertionError

    encrypted = Encrypted(b"", tmp_path, Limits(), waits)
    async with encrypted.client() as client:
        await client.send(asks() * 20)
        await until(lambda: any(connection._buffer_paused for connection in encrypted.server.connections))
        client.writer.get_extra_info("socket").shutdown(socket.SHUT_WR)
        await until(lambda: not encrypted.server.connections)


# --- between the handshake and the first request


class Line(asyncio.Transport):
    """A plain line, of which so much of the handshake has not left yet."""

    def __init__(self, left: int = 0) -> None:
        super().__init__()
        self._left = left
        self._protocol: asyncio.BaseProtocol = asyncio.BufferedProtocol()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_write_buffer_size(self) -> int:
        return self._left

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


@pytest.mark.parametrize("left", [0, 1])
async def test_the_first_answer_waits_for_what_is_left_of_the_handshake(left: int, tmp_path: Path) -> None:
    """TLS was told that it does not leave before there was a connection to be told."""
    connection = Encrypted(b"", tmp_path, Limits()).server()
    _Below.put(Line(left), connection)

    assert bool(left) == connection.writing_paused


async def test_who_fails_at_tls_is_told_of(tmp_path: Path) -> None:
    told: list[Event] = []

    encrypted = Encrypted(BODY, tmp_path, Limits(), observer=recorder(told))

    def trusts_nobody(port: int) -> None:
        with suppress(ssl.SSLCertVerificationError), socket.create_connection(("localhost", port)) as line:
            ssl.create_default_context().wrap_socket(line, server_hostname="localhost")

    async with encrypted.listening() as url:
        async with wire(url) as client:
            await client.send(asks())
            assert b"" == await client.rest()
        await asyncio.to_thread(trusts_nobody, int(url.rpartition(":")[2]))
        await until(lambda: len(told) == 2)

    assert [
        NotTls("plain HTTP where TLS is spoken", "127.0.0.1"),
        NotTls("the client does not trust our certificate (unknown ca)", "127.0.0.1"),
    ] == told


def test_what_java_and_browsers_say_of_a_certificate_is_not_told_as_an_old_protocol() -> None:
    error = ssl.SSLError()
    error.reason = "SSLV3_ALERT_CERTIFICATE_UNKNOWN"

    assert "the client does not take our certificate (certificate unknown)" == reason_of(error)


async def test_a_client_that_is_gone_when_the_handshake_is_done_is_no_connection(tmp_path: Path) -> None:
    server, early = Encrypted(b"", tmp_path, Limits()).server, _Early()
    early.connection_lost(None)
    early.give(Line(), server())
    connections = list(server.connections)
    await server.shutdown(0)

    assert [] == connections


# --- records with next to nothing in them


class Records:
    """A client's TLS without its line: what it would send, made beforehand."""

    def __init__(self, trust: ssl.SSLContext, port: int) -> None:
        self._came, self._left = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = trust.wrap_bio(self._came, self._left, server_hostname="localhost")
        self.line = socket.create_connection(("127.0.0.1", port))

    def shake(self) -> None:
        """Blocking."""
        done = False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                self.line.sendall(self._left.read())
                self._came.write(self.line.recv(64 * KIB))
        self.line.sendall(self._left.read())

    def records(self, *contents: bytes) -> bytes:
        for content in contents:
            self._tls.write(content)
        return self._left.read()

    def answer(self) -> bytes:
        """Blocking."""
        while True:
            try:
                return self._tls.read(64 * KIB)
            except ssl.SSLWantReadError:
                came = self.line.recv(64 * KIB)
                assert came, "the line was ended"
                self._came.write(came)


X25519_OFFERED = b"\0\x1d\0\x20"
"""The group, and the length of its key."""
UNKNOWN = b"\xfa\xfa"
"""Nobody knows such a group (RFC 8701)."""
A_READ = 10_000
"""Records of a byte, which are a quarter of a MiB."""


async def test_others_have_their_turn_between_many_small_records(tmp_path: Path) -> None:
    bodies = []

    async def counts(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append(request.content)
        while await request.content.readany():
            pass
        return web.Response()

    encrypted = Encrypted(b"", tmp_path, Limits(), counts)
    async with encrypted.listening() as url:
        client = Records(encrypted.trust, int(url.rpartition(":")[2]))
        with client.line:
            await asyncio.to_thread(client.shake)
            asked = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {A_READ}\r\n\r\n".encode()
            client.line.sendall(client.records(asked))
            await until(lambda: bool(bodies))
            sending = asyncio.create_task(asyncio.to_thread(client.line.sendall, client.records(*[b"x"] * A_READ)))
            most, before = 0, 0
            async with asyncio.timeout(PATIENCE):
                while before < A_READ:
                    await asyncio.sleep(0)  # a turn of the loop
                    now = bodies[0].total_bytes
                    most, before = max(most, now - before), now
            await sending
            answer = await asyncio.to_thread(client.answer)

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert most <= A_READ / 3


def hello_of(trust: ssl.SSLContext) -> bytes:
    """In one record."""
    offers = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        trust.wrap_bio(ssl.MemoryBIO(), offers, server_hostname="localhost").do_handshake()
    return offers.read()


def recorded_hello(trust: ssl.SSLContext) -> bytes:
    record = hello_of(trust)
    assert 1 == record.count(X25519_OFFERED)
    return record


@pytest.mark.parametrize("in_a_record", [16 * KIB, 1])
async def test_a_client_that_offers_keys_that_take_long_is_refused_before_they_are_made(
    in_a_record: int, tmp_path: Path
) -> None:
    """Of the largest group in a finite field that takes an eighth of a second, and a recorded hello will do."""
    told: list[Event] = []

    encrypted = Encrypted(b"", tmp_path, Limits(), observer=recorder(told))
    record = recorded_hello(encrypted.trust)
    hello = record[5:].replace(X25519_OFFERED, b"\x01\x04\0\x20")
    parts = [hello[at : at + in_a_record] for at in range(0, len(hello), in_a_record)]
    async with encrypted.listening() as url, wire(url) as client:
        for part in parts:
            await client.send((record[:3] + len(part).to_bytes(2, "big") + part).decode("latin-1"))
        await until(lambda: bool(told))

    assert [NotTls("keys would be agreed upon in a finite field, which takes too long", "127.0.0.1")] == told


@pytest.mark.parametrize("between", [b"", b"\x15\3\3\0\2\1\x5a", b"\x17\3\3\0\1x"], ids=["", "alert", "early data"])
async def test_a_second_hello_is_heard_behind_what_the_library_passes_over(between: bytes, tmp_path: Path) -> None:
    """Its keys are what takes long, where the first one had none that the server knows."""
    told: list[Event] = []

    encrypted = Encrypted(b"", tmp_path, Limits(), observer=recorder(told))
    first = recorded_hello(encrypted.trust).replace(b"\0\x1d\0", UNKNOWN + b"\0")
    second = recorded_hello(encrypted.trust).replace(X25519_OFFERED, b"\x01\x04\0\x20")
    async with encrypted.listening() as url, wire(url) as client:
        await client.send(first.decode("latin-1"))
        assert b"\x16" == await client.reader.readexactly(1)  # it names a group
        await client.send((between + second).decode("latin-1"))
        await until(lambda: bool(told))

    assert [NotTls("keys would be agreed upon in a finite field, which takes too long", "127.0.0.1")] == told


@pytest.mark.parametrize(("behind", "answers"), [(True, True), (False, False)])
def test_a_client_whose_keys_that_take_long_would_not_be_taken_is_served(
    behind: bool, answers: bool, tmp_path: Path
) -> None:
    """Java offers one of each kind, these behind those of P-256, where it may use the curves of NIST only."""
    certificate = certify("localhost", tmp_path)
    trust, server = ssl.create_default_context(cafile=certificate.path), towards_clients()
    server.load_cert_chain(certificate.path, certificate.key)
    trust.set_ecdh_curve("prime256v1")
    asked, answer = ssl.MemoryBIO(), ssl.MemoryBIO()
    asked.write(offering_a_finite_one_too(hello_of(trust), behind))

    with pytest.raises(ssl.SSLWantReadError if answers else ssl.SSLError):
        server.wrap_bio(asked, answer, server_side=True).do_handshake()

    assert answers == answer.read().startswith(b"\x16\3\3")


def offering_a_finite_one_too(hello: bytes, behind: bool) -> bytes:
    """As long as before: its end is nothing but zeros, and their number."""
    ours, theirs = hello[hello.index(b"\0\x17\0\x41") :][: 4 + 0x41], b"\1\0\0\1\2"
    shares = ours + theirs if behind else theirs + ours
    said = hello.replace(b"\0\x0a\0\4\0\2\0\x17", b"\0\x0a\0\6\0\4\0\x17\1\0")
    said = said.replace(b"\0\x33\0\x47\0\x45" + ours, b"\0\x33\0\x4c\0\x4a" + shares)
    filled = said.rstrip(b"\0")
    fewer = int.from_bytes(filled[-2:], "big") - (len(said) - len(hello))
    return filled[:-2] + fewer.to_bytes(2, "big") + bytes(fewer)


async def test_who_has_left_by_tls_is_sent_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """TLS takes whatever it is given until the loop has told it that its line is broken: it had enciphered all of a
    blob before that, with a warning for each piece, and nobody else had a turn."""
    lines: list[socket.socket] = []

    async def answers(request: web.BaseRequest) -> web.StreamResponse:
        lines[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        lines[0].close()
        ended.append(asyncio.current_task())
        return await send_body(Exchange(request, "1", 60.0), 200, BODY, {})

    ended: list[asyncio.Task[None] | None] = []
    encrypted = Encrypted(b"", tmp_path, Limits(), answers)
    async with encrypted.listening() as url:
        client = Records(encrypted.trust, int(url.rpartition(":")[2]))
        lines.append(client.line)
        await asyncio.to_thread(client.shake)
        await asyncio.to_thread(client.line.sendall, client.records(asks().encode()))
        await until(lambda: bool(ended))
        await until(lambda: not encrypted.server.connections)

    assert [] == [record.message for record in caplog.records]


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n"], ids=["leaves", "speaks no TLS"])
async def test_a_handshake_that_fails_leaves_nothing_to_the_collector(said: bytes, tmp_path: Path) -> None:
    """Each is a quarter of a MiB, and the collector counts objects."""
    encrypted = Encrypted(b"", tmp_path, Limits())
    async with encrypted.listening() as url:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                async with wire(url) as client:
                    client.writer.write(said)
                    await until(lambda: bool(encrypted.server._beginning))
                await until(lambda: not encrypted.server._beginning)
            await asyncio.sleep(0.05)
            left = [one for one in gc.get_objects() if isinstance(one, SSLProtocol)]
        finally:
            gc.enable()

    assert not left
