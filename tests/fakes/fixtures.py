"""The fixtures that every test of the running gateway uses; a conftest imports them by name."""

import gc
import io
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest

from apprproxy.ops.logs import configure
from tests.fakes.clock import Clock
from tests.fakes.gateway import Gateways
from tests.fakes.logs import logging_kept
from tests.fakes.registry import Registry


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    async with Registry() as registry:
        yield registry


@pytest.fixture
async def other() -> AsyncIterator[Registry]:
    """A second registry."""
    async with Registry() as registry:
        yield registry


@pytest.fixture
async def gateways(tmp_path: Path, clock: Clock) -> AsyncIterator[Gateways]:
    async with AsyncExitStack() as stack:
        yield Gateways(tmp_path, clock, stack)


class Logged:
    """All that was logged, as it would stand on standard error."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.fixture
def logged() -> Iterator[Logged]:
    """Ask for it before the gateway is built."""
    with logging_kept():
        configure("json", "debug")
        stream = io.StringIO()
        cast("logging.StreamHandler[io.StringIO]", logging.getLogger().handlers[0]).setStream(stream)
        yield Logged(stream)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Without the cyclic collector: what is in a cycle stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
