"""Clients, gateways and upstreams for the tests of the App Registry face."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.appregistry.gateway import Clock, RunningGateway, keys_of, running_gateway
from tests.appregistry.registry import Registry
from tests.appregistry.upstream import Upstream, running

Start = Callable[..., Awaitable[RunningGateway]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running(Registry()) as one:
        yield one


@pytest.fixture
async def start(tmp_path: Path, clock: Clock) -> AsyncIterator[Start]:
    """Starts a gateway in front of ``{name: upstream}``; keyword arguments are keys of each upstream's section, except
    for those named ``gateway``, which are the file's own, and ``directory``."""
    async with AsyncExitStack() as stack:

        async def begin(
            upstreams: dict[str, Upstream],
            *,
            directory: str = "cache",
            gateway: dict[str, Any] | None = None,
            **keys: Any,
        ) -> RunningGateway:
            sections = {name: keys_of(one, **keys) for name, one in upstreams.items()}
            return await stack.enter_async_context(
                running_gateway(tmp_path / directory, sections, clock, **(gateway or {}))
            )

        yield begin
