"""Packages to push and to lie with: tars, and gzip files around them in every shape."""

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from itertools import pairwise

from apprproxy.core.digest import Digest

MIB = 1024 * 1024


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """The same bytes for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def chart(version: str, text: str = "") -> bytes:
    """The tar of a small chart."""
    return tar_of({"nginx/Chart.yaml": f"name: nginx\nversion: {version}\n{text}".encode()})


def packed(tar: bytes, level: int = 9) -> bytes:
    return gzip.compress(tar, level, mtime=0)


def with_file_name(tar: bytes, name: str) -> bytes:
    """As the genuine client packs: the header holds a file name and a time."""
    with io.BytesIO() as buffer:
        with gzip.GzipFile(name, "wb", fileobj=buffer, mtime=7) as file:
            file.write(tar)
        return buffer.getvalue()


def in_members(tar: bytes, *cuts: int) -> bytes:
    """One gzip file of several members, cut at these places."""
    edges = [0, *cuts, len(tar)]
    return b"".join(packed(tar[start:stop]) for start, stop in pairwise(edges))


def as_helm_packs(tar: bytes) -> bytes:
    """With the extra field and the comment that Helm writes (pkg/chartutil/save.go)."""
    extra, plain = b"+aHR0cHM6Ly95b3V0dS5iZS96OVV6MWljandyTQo=", packed(tar)
    return b"".join([plain[:3], b"\x14", plain[4:10], len(extra).to_bytes(2, "little"), extra, b"Helm\0", plain[10:]])


def empty_blocks(tar: bytes, size: int) -> bytes:
    """One gzip member, with so many bytes of blocks that hold nothing."""
    plain = packed(tar)
    return plain[:10] + b"\0\0\0\xff\xff" * (size // 5) + plain[10:]


def bomb(unpacked: int, mebibyte: bytes = bytes(MIB)) -> bytes:
    """A single gzip member, small itself, of at least so many bytes, zeros where not told; its trailer is never
    reached."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = compressor.compress(b"") + compressor.flush(zlib.Z_FULL_FLUSH)
    block = compressor.compress(mebibyte) + compressor.flush(zlib.Z_FULL_FLUSH)
    return head + block * (unpacked // MIB + 1)


def unpacked(package: bytes) -> bytes:
    return gzip.decompress(package)


def digest_of(tar: bytes) -> Digest:
    return Digest("sha256", hashlib.sha256(tar).hexdigest())
