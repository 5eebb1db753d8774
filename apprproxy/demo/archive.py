"""A tar.gz of some text files that is the same bytes on every run, so that its digests are too."""

import gzip
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from apprproxy.core.digest import Digest


@dataclass(frozen=True, slots=True)
class Archive:
    """``tar`` is what App Registry and image configurations digest, ``packed`` what travels."""

    tar: bytes

    @property
    def packed(self) -> bytes:
        return gzip.compress(self.tar, mtime=0)

    @property
    def unpacked_digest(self) -> Digest:
        return Digest.of(self.tar)


def archive(files: Mapping[str, str]) -> Archive:
    """Paths in order, nobody's, from 1970."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, text in sorted(files.items()):
            content = text.encode()
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return Archive(packed.getvalue())
