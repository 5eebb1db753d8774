"""What goes wrong between a genuine server and whoever asks it, on command; else every byte passes as it is.

One exchange a connection, so that the bytes that are counted are those of one body.
"""

import asyncio
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread

END = b"\r\n\r\n"
DROP = struct.pack("ii", 1, 0)  # SO_LINGER: what is not sent yet is thrown away, and the end is a reset


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection is closed after so many bytes of the body."""

    after: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The same, but as by a host that crashed: how much of it arrives nobody knows."""

    after: int


@dataclass(frozen=True, slots=True)
class Stall:
    """Nothing comes after so many bytes of the body, until whoever asked leaves."""

    after: int


@dataclass(frozen=True, slots=True)
class Shorten:
    """The body has so many bytes only, and its header says so."""

    after: int


@dataclass(frozen=True, slots=True)
class Spoil:
    """One byte of the body, at this place, is another one."""

    at: int


Fault = Cut | Reset | Stall | Shorten | Spoil


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    range: str | None
    status: int


@dataclass(frozen=True, slots=True)
class Due:
    part: str
    fault: Fault
    late: float


@dataclass(slots=True)
class Faulty:
    """Stands in front of a server; `asked` is what was answered so far, in order."""

    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    _due: list[Due] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def inflict(self, fault: Fault, part: str, times: int = 1, late: float = 0.0) -> None:
        """On the next so many GETs of a path with this part; what was before it is sent `late` seconds earlier."""
        self._due += [Due(part, fault, late)] * times

    def ranges(self, part: str) -> list[str | None]:
        """What the GETs of a path with this part asked for; None is the whole."""
        return [asked.range for asked in self.asked if asked.method == "GET" and part in asked.path]

    def statuses(self, part: str) -> set[int]:
        """How those GETs were answered."""
        return {asked.status for asked in self.asked if asked.method == "GET" and part in asked.path}

    def take(self, method: str, path: str) -> Due | None:
        """What befalls this exchange, and no other."""
        due = next((due for due in self._due if method == "GET" and due.part in path), None)
        if due is not None:
            self._due.remove(due)
        return due


@contextmanager
def faulty(target: str) -> Iterator[Faulty]:
    """In front of `target`, a host and port of the loopback interface."""
    between = Faulty()
    ended = asyncio.Event()
    started: Future[asyncio.AbstractEventLoop] = Future()
    running: set[asyncio.Task[None] | None] = set()  # the loop itself keeps none of them alive

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(asyncio.current_task())
        with suppress(
            OSError, EOFError, asyncio.CancelledError
        ):  # whoever cancels ends the loop, and waits for nothing
            await _exchange(between, target, reader, writer)
            writer.close()
            await writer.wait_closed()
        writer.transport.abort()
        running.discard(asyncio.current_task())

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            between.host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            started.set_result(asyncio.get_running_loop())
            await ended.wait()

    thread = Thread(target=asyncio.run, args=(main(),), name="faulty")
    thread.start()
    loop = started.result(10)
    try:
        yield between
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)


async def _exchange(between: Faulty, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first = await reader.readexactly(1)
    if not first.isalpha():
        return  # TLS, which skopeo tries first
    question = first + await reader.readuntil(END)
    host, _, port = target.rpartition(":")
    answers, questions = await asyncio.open_connection(host, int(port))
    try:
        questions.write(with_field(question, b"Connection", b"close"))
        head = await answers.readuntil(END)
        method, path, _ = question.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        between.asked.append(Asked(method, path, _value(question, b"range"), int(head.split(b" ", 2)[1])))
        due = between.take(method, path)
        writer.write(_announced(head, due))
        await _body(due, answers, writer)
        await _end(due, reader, writer)
    finally:
        questions.transport.abort()


def _announced(head: bytes, due: Due | None) -> bytes:
    match due:
        case Due(fault=Shorten(after)):
            return with_field(head, b"Content-Length", b"%d" % after)
        case _:
            return head


async def _body(due: Due | None, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    at = 0
    while piece := await source.read(65536):
        sent = altered(due.fault, at, piece) if due else piece
        if due and sent != piece:
            await asyncio.sleep(due.late)
        sink.write(sent)
        await sink.drain()
        if len(sent) < len(piece):
            return
        at += len(piece)


async def _end(due: Due | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    match due:
        case Due(fault=Stall()):
            await reader.read()
        case Due(fault=Reset()):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROP)
            writer.transport.abort()
        case _:
            pass


def altered(fault: Fault, at: int, piece: bytes) -> bytes:
    """What is sent instead of a piece that begins at this place of the body; a shorter one is the last."""
    match fault:
        case Cut(after) | Reset(after) | Stall(after) | Shorten(after):
            return piece[: max(after - at, 0)]
        case Spoil(place) if at <= place < at + len(piece):
            spoilt = bytearray(piece)
            spoilt[place - at] ^= 0xFF
            return bytes(spoilt)
        case Spoil():
            return piece


def with_field(head: bytes, name: bytes, value: bytes) -> bytes:
    """The same header, but for one field."""
    kept = [line for line in head.removesuffix(END).split(b"\r\n") if not line.lower().startswith(name.lower() + b":")]
    return b"\r\n".join([*kept, name + b": " + value]) + END


def _value(head: bytes, name: bytes) -> str | None:
    fields = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return next((value.strip().decode("latin-1") for key, _, value in fields if key.lower() == name), None)
