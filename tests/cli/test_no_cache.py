"""Commands where no gateway has kept anything: they say where they looked, and make nothing."""

import subprocess
from pathlib import Path

import pytest

from tests.fakes.command import run

TAG, RELEASE = "hub/library/app:1.0", "quay/alice/nginx@1.0/helm"


def runs(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(*words, cwd=folder, environment=environment)


@pytest.mark.parametrize(
    "words",
    [
        ("cache", "stats"),
        ("cache", "list"),
        ("cache", "verify"),
        ("cache", "verify", "--repair"),
        ("cache", "pin"),
        ("cache", "pin", TAG),
        ("cache", "unpin", TAG),
        ("cache", "purge", "--all", "--yes"),
        ("names", "list"),
        ("names", "accept", RELEASE),
        ("names", "show", TAG),
    ],
)
def test_it_is_said_where_the_cache_was_looked_for(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = runs(tmp_path, *words)

    assert (1, "") == (ran.returncode, ran.stdout)
    assert ran.stderr.startswith(f"error: there is no cache in {tmp_path}/.apprproxy: ")
    assert "--config" in ran.stderr
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "words", [("cache", "pin", "--fetch", TAG), ("names", "lock", "--output", "lock", TAG), ("search", "app")]
)
def test_without_an_upstream_to_ask_nothing_is_begun(words: tuple[str, ...], tmp_path: Path) -> None:
    ran = runs(tmp_path, *words)

    assert (2, "") == (ran.returncode, ran.stdout)
    assert "--config FILE" in ran.stderr
    assert [] == list(tmp_path.iterdir())


def test_a_mistyped_directory_stays_unmade(tmp_path: Path) -> None:
    ran = runs(tmp_path, "cache", "verify", APPRPROXY_CACHE__DIRECTORY="cahce")

    assert 1 == ran.returncode
    assert f"there is no cache in {tmp_path}/cahce: " in ran.stderr
    assert [] == list(tmp_path.iterdir())
