"""What the first words of a TLS line ask for: are keys to be agreed upon in a finite field? Pure."""

from collections.abc import Iterator

CLIENT_HELLO, SERVER_HELLO = 1, 2
_KEY_SHARE = b"\0\x33"
_FINITE = 1
"""The first byte of their groups' numbers (RFC 7919)."""
_P256 = 0x17
"""Every library knows it (RFC 8446, section 9.1), and takes it where it stands before those."""


def agrees_in_a_finite_field(hello: bytes) -> bool:
    """Are keys offered, or asked for, in a group of one, and would that be taken? Java offers one behind P-256 where it
    may use the curves of NIST only. RFC 8446, sections 4.1.2, 4.1.3 and 4.2.8."""
    client = hello[0] == CLIENT_HELLO
    at = 4 + 2 + 32  # its own header, a version, and what is random
    at += 1 + number(hello[at : at + 1])  # the session
    at += 2 + number(hello[at : at + 2]) if client else 2  # ciphers, or the one that was chosen
    at += 1 + number(hello[at : at + 1]) if client else 1  # compressions, likewise
    at += 2  # how long all extensions are
    while at + 4 <= len(hello):
        end = at + 4 + number(hello[at + 2 : at + 4])
        if hello[at : at + 2] == _KEY_SHARE:
            groups = _groups(hello[at + 6 : end]) if client else iter([number(hello[at + 4 : at + 6])])
            return next((group != _P256 for group in groups if group == _P256 or group >> 8 == _FINITE), False)
        at = end
    return False


def _groups(shares: bytes) -> Iterator[int]:
    at = 0
    while at + 4 <= len(shares):
        yield number(shares[at : at + 2])
        at += 4 + number(shares[at + 2 : at + 4])


def number(digits: bytes | bytearray) -> int:
    return int.from_bytes(digits, "big")
