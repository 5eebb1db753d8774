"""Where this process may open no more files, that is no trouble of who could not be asked for want of them."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest

from apprproxy.core.answers import answer_of
from apprproxy.core.errors import NoFiles
from apprproxy.core.events import Asked, Event, SourceShut
from apprproxy.core.ports.upstream import Lane, Request
from apprproxy.gateway.members.health import FOR_OWNERS
from apprproxy.upstream.answer import translate
from apprproxy.upstream.connector import Connector
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.fixtures import Logged
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry
from tests.fakes.sources import watched

ASK = Request("GET", "/v2/library/app/tags/list", lane=Lane.NAMES)
TAG = "/v2/hub/library/app/manifests/1.0"


@contextmanager
def no_file_left() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_who_cannot_be_asked_for_want_of_a_descriptor_is_not_away(
    registry: Registry, clock: Clock, host: str
) -> None:
    told: list[Event] = []
    async with watched(registry.url.replace("127.0.0.1", host), FOR_OWNERS, clock, told) as source:
        for _ in range(5):
            with no_file_left(), pytest.raises(NoFiles, match="ulimit -n"):
                await answer_of(source, ASK)
        assert [] == [event for event in told if isinstance(event, (Asked, SourceShut))]

        assert 404 == (await answer_of(source, ASK)).status


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_that_its_system_has_too_many_is_the_same(number: int) -> None:
    assert isinstance(translate("hub", OSError(number, os.strerror(number))), NoFiles)


async def test_a_token_that_is_not_asked_for_is_no_trouble_of_its_server(
    registry: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.on["tags"] = lies.says(401, WWW_Authenticate=f'Bearer realm="{registry.url}/token",service="x"')
    told: list[Event] = []
    async with watched(registry.url, FOR_OWNERS, clock, told) as source:
        genuine = Connector.connect

        async def connect(self: Connector, req: Any, **more: Any) -> Any:
            if req.url.path == "/token":
                raise aiohttp.ClientConnectorError(req.connection_key, OSError(errno.EMFILE, "none left"))
            return await genuine(self, req, **more)

        monkeypatch.setattr(Connector, "connect", connect)
        with pytest.raises(NoFiles, match="its token server"):
            await answer_of(source, ASK)

    assert [] == [event for event in told if isinstance(event, Asked)]


async def test_what_is_held_stands_in_and_the_rest_is_our_own_failure(
    registry: Registry, gateways: Gateways, clock: Clock, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="60s", stale_for="1h")})
    await gateway.get(TAG)
    clock.advance(61)

    async def connect(_: Connector, req: Any, **__: Any) -> Any:
        raise aiohttp.ClientConnectorError(req.connection_key, OSError(errno.EMFILE, "none left"))

    monkeypatch.setattr(Connector, "connect", connect)
    stale = await gateway.get(TAG)
    failed = await gateway.get(TAG.replace("1.0", "2.0"))
    blob = await gateway.get(f"/v2/hub/library/app/blobs/sha256:{'0' * 64}")
    lines = [json.loads(line) for line in logged.text.splitlines()]
    told = [line["event"] for line in lines if line["event"] != "request"]

    assert (200, content, "stale-if-error") == (stale.status, stale.body, stale.headers["Cache-Status"].split("=")[-1])
    assert (500, 500) == (failed.status, blob.status)
    assert b"ulimit -n" in failed.body
    assert not [event for event in told if "upstream trouble" in event]
    assert 1 == len([event for event in told if "ulimit -n" in event])
    assert b'available{source="owner",upstream="hub"} 1.0' in (await gateway.get("/metrics")).body
