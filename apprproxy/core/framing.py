"""What stands around the content of a chunked body takes the time of whoever sends it, and nobody else's.

Each chunk is a handful of calls of the library, however little is in it: a quarter of a MiB in chunks of one byte takes
a hundred times as long as in one. Nobody is refused for that: there are servers that send a list word by word.
"""

from apprproxy.core.model import KIB, MIB

LITTLE = 64
"""Bytes, among which one of framing is not worth counting: chunks of half a KiB and more."""
RATE = MIB
"""Bytes a second: 200,000 chunks, a fifth of a processor. In chunks of 16 bytes that is 3 MiB of content."""
AT_ONCE = 64 * KIB
"""Bytes without a rest: as much as most lists have, and some forty milliseconds."""
LONGEST = 10.0
"""Seconds of rest. Each connection brings a little before it rests: whoever opens ever new ones would have all others
wait for hours."""


class Framing:
    """That of one upstream, or of all who come to one of our addresses, over all connections."""

    def __init__(self) -> None:
        self._paid = 0.0

    def rest(self, taken: int, content: int, now: float) -> float:
        """Seconds in which the connection that brought this is left alone."""
        framing = taken - content
        if framing * LITTLE <= taken:
            return 0.0
        self._paid = min(max(self._paid, now) + framing / RATE, now + AT_ONCE / RATE + LONGEST)
        return max(0.0, self._paid - now - AT_ONCE / RATE)
