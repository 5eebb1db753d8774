"""Fixtures by name, and certificates that are made once."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fakes.clock import Clock
from tests.fakes.fixtures import clock as clock
from tests.fakes.gateway import Gateways
from tests.outages.names import NameServer, installed
from tests.outages.owner import Certificates
from tests.peers.certificate import certify

MEMORY = "/dev/shm"


@pytest.fixture
async def gateways(clock: Clock) -> AsyncIterator[Gateways]:
    """Their caches in memory, where that can be had: hundreds are filled, and what is tested is what is answered."""
    with TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        async with AsyncExitStack() as stack:
            yield Gateways(Path(folder), clock, stack)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameServer:
    return installed(monkeypatch)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    own, foreign = tmp_path_factory.mktemp("own"), tmp_path_factory.mktemp("foreign")
    return Certificates(certify("owner", own), certify("owner", foreign))


@pytest.fixture
def password(tmp_path: Path) -> Path:
    """A file with our password at the owner's."""
    path = tmp_path / "password"
    path.write_text("s3cret")
    return path
