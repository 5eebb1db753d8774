"""A Digest that exists is well formed; a Check says whether bytes were what a digest names.

Grammar: OCI image specification, descriptor.md, "Digests"; only the two registered algorithms are accepted, because
an algorithm that cannot be computed cannot be verified.
"""

import hashlib
import re
from dataclasses import dataclass

_HEX_LENGTH = {"sha256": 64, "sha512": 128}
_DIGEST = re.compile(r"(sha256|sha512):([0-9a-f]+)")


class MalformedDigest(ValueError):
    """The text is not a digest that can be verified."""


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """``algorithm`` is ``sha256`` or ``sha512``; ``hex`` is lower case and of the algorithm's length."""

    algorithm: str
    hex: str

    def __post_init__(self) -> None:
        if len(self.hex) != _HEX_LENGTH.get(self.algorithm) or not re.fullmatch("[0-9a-f]+", self.hex):
            raise MalformedDigest(f"not a sha256 or sha512 digest: {str(self)[:160]!r}")

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Read ``algorithm:hex``; raises MalformedDigest."""
        match = _DIGEST.fullmatch(text)
        if match is None:
            raise MalformedDigest(f"not a sha256 or sha512 digest: {text[:160]!r}")
        return cls(match[1], match[2])

    @classmethod
    def of(cls, content: bytes, algorithm: str = "sha256") -> "Digest":
        return cls(algorithm, hashlib.new(algorithm, content).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Check:
    """Hashes bytes as they pass, then judges. Not thread safe; may be used from one thread at a time."""

    def __init__(self, algorithm: str = "sha256") -> None:
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self.size = 0

    def update(self, chunk: bytes | bytearray) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)

    def digest(self) -> Digest:
        return Digest(self._algorithm, self._hash.hexdigest())
