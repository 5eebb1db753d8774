"""Whoever pulls an image and keeps it: what it holds is read from its own files, not from what it says."""

from pathlib import Path
from typing import Protocol

from tests.peers.clients import Ran, run
from tests.peers.layout import digests


class Puller(Protocol):
    def fetch(self, image: str) -> Ran:
        """Over plain http."""

    @property
    def held(self) -> dict[str, str]:
        """The digest of what is in each blob that it holds, by the digest that it holds it under."""


class Skopeo:
    """Copies to a folder, the same one each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, image: str, *more: str) -> Ran:
        copy = ("--insecure-policy", "copy", "--src-tls-verify=false", *more)
        return run("skopeo", *copy, f"docker://{image}", "dir:image", start=self._folder)

    @property
    def held(self) -> dict[str, str]:
        return digests(self._folder / "image")


def wrong(held: dict[str, str]) -> dict[str, str]:
    """Of such digests, those that are not the same."""
    return {name: content for name, content in held.items() if name != content}


def is_held(digest: str, held: dict[str, str]) -> None:
    """And nothing wrong beside it."""
    assert digest in held
    assert {} == wrong(held)
