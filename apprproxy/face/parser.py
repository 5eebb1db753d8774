"""The library's reader of requests, with a bound to a header as a whole: its own are to each field and their number."""

import asyncio
from collections.abc import Callable

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpRequestParser, HttpVersion10, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import BadHttpMessage, HttpProcessingError
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestPayloadError

from apprproxy.core.model import KIB

MAX_LINE = 32 * KIB
"""Of a request line, so that an overlong name reaches the face and is refused in its words; and of a field."""
MAX_HEADER = 64 * KIB
"""Of a request line and all fields: credentials of some kilobytes are common, and each connection may hold a few."""
AHEAD = 2
"""Requests that are taken apart while another of their connection is answered, which makes twenty times as much of
them; the library's is 32. What else has come stays as it came."""
BODY = 16 * KIB
"""Bytes of a body. Of one that nobody reads, twice as much is held, and what one read brought; of chunks of a single
byte, a sixteenth as many are taken apart in one go."""
AROUND = 5
"""Bytes around the content of the smallest chunk: its size, and two ends of lines."""
SOME = 64
"""Chunks that must have come before their size is judged: at the end of a read there may be the rest of one alone."""

Read = tuple[list[tuple[RawRequestMessage, StreamReader]], bool, bytes]


class Parser(HttpRequestParser):
    """The bound holds for what is neither header nor body as well: trailers, and the extensions of chunks."""

    def __init__(
        self, connection: BaseProtocol, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None] = lambda: None
    ) -> None:
        """``go_on`` is called soon after a request was taken up: something may have been put by behind it."""
        super().__init__(
            connection,
            loop,
            BODY,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=AHEAD,
        )
        self._loop = loop
        self._go_on = go_on
        self._unfinished = 0
        self._chunks = self._content = 0
        self._body: StreamReader = EMPTY_PAYLOAD
        self._refused = False
        self._waiting = 0
        self._held_back = False
        self._last = b""
        self.begun = False
        """Has another header begun, as far as can be told? Right behind a body it cannot."""

    def message_consumed(self) -> None:
        """A request that is taken up before its body is complete counts as one that waits, for good: the library stops
        for it, and goes on only where its queue was full."""
        super().message_consumed()
        self._waiting -= 1
        self._loop.call_soon(self._go_on)

    def feed_data(self, data: bytes) -> Read:  # type: ignore[override]  # what else it takes is the library's own
        """Raises HttpProcessingError, which is answered by 400. Nothing behind that is read."""
        if self._refused:
            return [], False, b""
        try:
            return self._bounded(data)
        except HttpProcessingError:
            self._refused = True
            raise

    def _bounded(self, data: bytes) -> Read:
        body, read, chunks = self._body, self._body.total_bytes, _chunks(self._body)
        went_on = not body.is_eof()
        messages, upgraded, tail = super().feed_data(data)
        self._chunks += _chunks(body) - chunks + sum(_chunks(new) for _, new in messages)
        self._content += body.total_bytes - read + sum(new.total_bytes for _, new in messages)
        for at, (message, self._body) in enumerate(messages):
            _refuse_odd(message)
            if message.method == "CONNECT" or (message.upgrade and not self._alone(data)):
                messages[at] = message._replace(should_close=True), self._body
            if len(message.path) + sum(len(name) + len(value) for name, value in message.raw_headers) > MAX_HEADER:
                raise BadHttpMessage(_TOO_LARGE)
        self._waiting += len(messages)
        self._held_back = self._waiting >= AHEAD or not self._body.is_eof()
        self._last = (self._last + data[-4:])[-4:]
        came = bool(messages) or body.total_bytes > read
        if messages or went_on:
            self.begun = self._body is EMPTY_PAYLOAD and self._last != _END
        elif data:
            self.begun = True
        self._unfinished = 0 if came else self._unfinished + len(data)
        if self._unfinished > MAX_HEADER:
            raise BadHttpMessage(_TOO_LARGE)
        return messages, upgraded, tail

    def _alone(self, data: bytes) -> bool:
        """Did nothing come before or behind a header that ends here? Behind one that offers another protocol, which is
        not taken up, the library loses what came with it: nothing more of that connection is answered, or what is left
        would be read as something else. Java's client offers HTTP/2 each time, and goes on (RFC 9110, section 7.8)."""
        _, end, behind = (self._last[-3:] + data).partition(_END)
        return not self._held_back and self._body is EMPTY_PAYLOAD and bool(end) and not behind

    def taken(self) -> tuple[int, int]:
        """Of bodies, since this had something to tell: bytes with what stands around chunks, at least, and without."""
        if self._chunks < SOME:
            return 0, 0
        content, around = self._content, self._chunks * AROUND
        self._chunks = self._content = 0
        return content + around, content


def _chunks(body: StreamReader) -> int:
    """As many as are known of it that nobody has read yet."""
    return len(getattr(body, "_http_chunk_splits", None) or ())


def _refuse_odd(message: RawRequestMessage) -> None:
    """What the library lets pass, and others on the way may read otherwise (RFC 9112, sections 2.5 and 6)."""
    coding, length = message.headers.get("Transfer-Encoding"), message.headers.get("Content-Length", "")
    if not message.path:
        raise BadHttpMessage("it asks for nothing")
    if message.version not in (HttpVersion10, HttpVersion11):
        raise BadHttpMessage("its version of HTTP is not spoken here")
    if coding is not None and (message.version == HttpVersion10 or coding.lower() != "chunked"):
        raise BadHttpMessage("its body is coded as none is taken")
    if len(length) > _DIGITS:
        raise BadHttpMessage("its body is longer than any")


_END = b"\r\n\r\n"
_DIGITS = 18
"""Of a body's length: of 2 ** 64 the library makes none."""
_TOO_LARGE = f"its header is larger than {MAX_HEADER} bytes"
