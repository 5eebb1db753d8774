"""What clients send on a connection: our reader reads what the library's does, in whatever pieces it comes, and less.

The first byte says in which pieces, the second how much a header may have. The library's own reader in Python is run
as well: the other is machine code, by which a fuzzer learns nothing.
"""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Any

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParserPy
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from apprproxy.core.errors import Malformed
from apprproxy.face import parser as face
from apprproxy.face.host import asked_host
from apprproxy.face.parser import MAX_LINE, Parser

_SIZES = (1, 2, 3, 7, 16, 64, 4096)
_BOUNDS = (64, 256, 64 * 1024)
_ASIDE = 64
"""Bytes of a request that are counted for none: blanks, colons and ends of lines."""

Outcome = tuple[list[tuple[Any, ...]], bool]
"""The requests, and whether something was refused behind them."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def read(data: bytes) -> None:
    if len(data) < 3:
        return
    size, bound, sent = _SIZES[data[0] % len(_SIZES)], _BOUNDS[data[1] % len(_BOUNDS)], data[2:]
    _guide(sent)
    theirs, refused = _outcome(_library(HttpRequestParser), sent, size)
    before, face.MAX_HEADER = face.MAX_HEADER, bound
    try:
        ours, refused_here = _outcome(Parser(BaseProtocol(_loop()), _loop()), sent, size)
    finally:
        face.MAX_HEADER = before
    if refused_here and not refused:
        assert len(sent) > bound - size or b"CONNECT" in sent, "so little is no large header"
    else:
        assert refused_here == refused
        assert len(ours) <= len(theirs)
    if not refused_here:
        assert ours == theirs
    for request in ours:
        _held(request, bound)
    whole, refused_whole = _outcome(_library(HttpRequestParser), sent, len(sent))
    assert refused_whole or refused or whole == theirs, "pieces make no difference"


def _library(kind: Any) -> Any:
    """With the options of ours."""
    return kind(
        BaseProtocol(_loop()),
        _loop(),
        256 * 1024,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
        payload_exception=RequestPayloadError,
        auto_decompress=False,
        max_msg_queue_size=32,
    )


def _outcome(parser: Any, sent: bytes, size: int) -> Outcome:
    read: list[tuple[Any, StreamReader]] = []
    refused = False
    at, messages = 0, list[Any]()
    while at < len(sent) or messages:
        try:
            messages, upgraded, _ = parser.feed_data(sent[at : at + size])
        except HttpProcessingError:
            refused = True
            break
        at += size
        read += messages
        for _ in messages:
            parser.message_consumed()
        if upgraded:
            break
    return [(*_told(message), _body(payload), payload.is_eof()) for message, payload in read], refused


def _told(message: Any) -> tuple[Any, ...]:
    return (
        message.method,
        message.path,
        message.version,
        message.raw_headers,
        message.should_close or message.upgrade or message.method == "CONNECT",  # ours has it so if more came with it
        message.upgrade,
        message.chunked,
    )


def _body(payload: StreamReader) -> bytes:
    with suppress(Exception):
        return payload.read_nowait(-1)
    return b""


def _held(request: tuple[Any, ...], bound: int) -> None:
    """A header within its bound; what is taken of a host is a host, or malformed in our own words."""
    _, path, _, fields, *_ = request
    assert len(path) + sum(len(name) + len(value) for name, value in fields) <= bound
    hosts = [value.decode(errors="surrogateescape") for name, value in fields if name.lower() == b"host"]
    with suppress(Malformed):
        host = asked_host(path, hosts)
        assert host is None or str(host).isprintable()


def _guide(sent: bytes) -> None:
    with suppress(HttpProcessingError, ValueError, AssertionError, IndexError):
        _library(HttpRequestParserPy).feed_data(sent)
