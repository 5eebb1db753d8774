"""A name server that keeps silent holds up the names of whoever led to it, and nobody else's."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apprproxy.upstream.resolver import AT_ONCE, OwnThreadsResolver
from tests.fakes import lies
from tests.fakes.clock import until
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry


class Silent:
    """Names below ``.silent.invalid`` are not answered until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.go = threading.Event()
        self._genuine = socket.getaddrinfo

    def __call__(self, host: str, *more: Any, **options: Any) -> Any:
        if not str(host).endswith(".silent.invalid"):
            return self._genuine(host, *more, **options)
        self.asked.append(host)
        self.go.wait()
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Silent]:
    server = Silent()
    monkeypatch.setattr(socket, "getaddrinfo", server)
    monkeypatch.setenv("no_proxy", "*")
    yield server
    server.go.set()


async def test_names_that_an_upstream_leads_to_hold_up_neither_others_names_nor_its_own(
    registry: Registry, other: Registry, gateways: Gateways, silent: Silent
) -> None:
    numbers = iter(range(1000))

    async def leads_astray(request: Any, honest: lies.Honest) -> Any:
        return await lies.redirects(f"http://n{next(numbers)}.silent.invalid/x")(request, honest)

    for one in (registry, other):
        one.push("library/app", "1.0", b"layer")
    other.on["blob"] = leads_astray
    gateway = await gateways.start(
        {
            "good": {"url": registry.url.replace("127.0.0.1", "localhost")},
            "evil": {"url": other.url.replace("127.0.0.1", "localhost")},
        }
    )
    attack = [asyncio.create_task(gateway.get(f"/v2/evil/library/app/blobs/sha256:{n:064x}")) for n in range(20)]
    await until(lambda: len(silent.asked) == AT_ONCE)
    good = await gateway.get("/v2/good/library/app/manifests/1.0")
    its_own = await gateway.get("/v2/evil/library/app/manifests/1.0")
    silent.go.set()
    await asyncio.gather(*attack, return_exceptions=True)

    assert (200, 200) == (good.status, its_own.status)


async def test_who_waits_for_a_thread_waits_no_longer_than_for_an_answer(silent: Silent) -> None:
    resolver = OwnThreadsResolver(0.05)
    waiting = [resolver.resolve(f"n{number}.silent.invalid") for number in range(AT_ONCE + 1)]
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    await resolver.close()

    assert AT_ONCE == len(silent.asked)
    assert all("was not resolved in 0.05 s" in str(failure) for failure in failures)
