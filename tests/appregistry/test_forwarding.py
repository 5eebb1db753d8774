"""Writes are bounded in number and time, and one that was taken upstream is never told to have failed."""

import asyncio
import base64
import json
from contextlib import AsyncExitStack, suppress
from types import SimpleNamespace

import pytest
from aiohttp import web
from multidict import CIMultiDict

from apprproxy.appregistry import bodies
from apprproxy.appregistry.bodies import Body, gives_way
from apprproxy.core.errors import StoreFailed
from apprproxy.store.names.names import DiskNames
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.conftest import Start
from tests.appregistry.registry import as_json, html
from tests.appregistry.upstream import Upstream
from tests.fakes.clock import PATIENCE, Gate, until
from tests.fakes.listening import listening
from tests.fakes.raw import answering, wire

PUSH = "/cnr/api/v1/packages/alice/nginx"
UNFINISHED = f"POST {PUSH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 1000\r\n\r\nbegun"


async def test_a_write_that_finds_no_room_is_told_to_come_back(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "TURN", 0.3)
    gateway = await start({"up": upstream}, writes="pass")
    async with AsyncExitStack() as stack:
        for _ in range(bodies.AT_ONCE):
            client = await stack.enter_async_context(wire(gateway.url))
            await client.send(UNFINISHED)
        async with asyncio.timeout(5):
            while (got := await gateway.get(PUSH, "POST", body=b"{}")).status != 503:
                pass

    assert "1" == got.headers["Retry-After"]
    assert "4 writes to up are under way here already" in got.json["message"]


async def test_an_offline_gateway_passes_no_write_on(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream}, writes="pass", gateway={"offline": True})
    refused = await gateway.get(PUSH, "POST", body=b"{}")

    assert 405 == refused.status
    assert "offline" in refused.json["message"]
    assert 0 == upstream.count()


@pytest.mark.parametrize(("method", "path"), [("POST", PUSH), ("DELETE", f"{PUSH}/1.0.0/helm")])
async def test_a_web_page_writes_nothing(start: Start, upstream: Upstream, method: str, path: str) -> None:
    """It need not be let read an answer to have its reader's browser send a push, from wherever that is."""
    gateway = await start({"up": upstream}, writes="pass")
    refused = await gateway.get(path, method, {"Origin": "https://evil.example", "Content-Type": "text/plain"}, b"{}")

    assert 403 == refused.status
    assert "web page" in refused.json["message"]
    assert 0 == upstream.count()


async def test_a_body_that_comes_too_slowly_is_broken_off(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "GRACE", 0.1)
    gateway = await start({"up": upstream}, writes="pass")
    async with wire(gateway.url) as client:
        await client.send(UNFINISHED)
        rest = asyncio.create_task(client.rest())
        while not rest.done():  # steadily
            with suppress(ConnectionError):
                await client.send("x")
            await asyncio.wait([rest], timeout=0.02)

        assert b"" == await rest
    assert 0 == upstream.count()


async def test_whoever_takes_all_places_gives_one_to_another(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PATIENCE", 0.05)
    gateway = await start({"up": upstream}, writes="pass")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(gateway.url)) for _ in range(bodies.AT_ONCE)]
        for client in clients:
            await client.send(UNFINISHED)
        async with wire(gateway.url, source="127.0.0.2") as other:
            await other.send(f"POST {PUSH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\n\r\n{{}}")
            got = await other.head()
        heads = {asyncio.create_task(client.head()) for client in clients}
        (gave_way,), left = await asyncio.wait(heads, return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        told = await gave_way

    assert "Apprproxy-Upstream: up" in got
    assert "503 " in told
    assert "Retry-After: " in told
    assert 1 == len(upstream.bodies)


def coming(client: str, received: int, began: float = 0.0) -> Body:
    body = Body(client, began)
    body.received, body.deadline = received, asyncio.Timeout(None)
    return body


def test_the_newest_of_many_gives_way_to_who_has_none() -> None:
    bodies = [coming("a", 9_000_000), coming("b", 1), coming("a", 9_000_000), coming("c", 1)]

    assert bodies[2] is gives_way(bodies, "d", now=5.0)


def test_where_everybody_has_one_the_slowest_gives_way() -> None:
    bodies = [coming("a", 90_000_000), coming("b", 900_000), coming("c", 800_000), coming("d", 90_000_000)]

    assert bodies[2] is gives_way(bodies, "e", now=20.0)
    assert bodies[2] is gives_way(bodies, "a", now=20.0)


def test_a_body_that_is_fast_new_or_whole_stays() -> None:
    whole = coming("c", 10)
    whole.deadline = None
    bodies = [coming("a", 90_000_000), coming("b", 10, began=15.0), whole]

    assert None is gives_way(bodies, "d", now=20.0)


async def test_a_push_that_was_taken_is_no_failure_because_the_cache_cannot_be_written(
    start: Start, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreFailed("the names cannot be written: database or disk is full")

    gateway = await start({"up": upstream}, writes="pass")
    monkeypatch.setattr(DiskNames, "written", full)
    got = await gateway.get(PUSH, "POST", body=b'{"release": "1.0.0", "media_type": "helm", "blob": ""}')

    assert 1 == len(upstream.bodies)
    assert 500 != got.status


async def test_a_push_counts_though_its_client_has_left(start: Start) -> None:
    digests, taken, answer = [chart("one"), chart("two")], asyncio.Event(), Gate()

    async def server(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            taken.set()
            await answer()
            return web.json_response({"status": "ok"})
        content = digest_of(digests[taken.is_set()]).hex
        kind = "application/vnd.appr.package-manifest.helm.v0.json"
        manifest = {"package": "alice/nginx", "release": "1.0.0", "mediaType": kind, "content": {"digest": content}}
        return web.json_response(manifest)

    blob = base64.b64encode(packed(chart("two"))).decode()
    body = json.dumps({"release": "1.0.0", "media_type": "helm", "blob": blob})
    async with listening(server) as url:
        gateway = await start({"up": SimpleNamespace(url=url)}, writes="pass")
        await gateway.get(f"{PUSH}/1.0.0/helm")
        async with wire(gateway.url) as client:
            head = f"POST {PUSH}?force=true HTTP/1.1\r\nHost: gateway\r\nContent-Length: {len(body)}"
            await client.send(f"{head}\r\n\r\n{body}")
            await answer.reached()
        await until(lambda: gateway.total("apprproxy_requests_total", status="client-left") == 1)
        answer.open()
        async with asyncio.timeout(PATIENCE):
            while (await gateway.get(f"{PUSH}/1.0.0/helm")).json["content"]["digest"] != digest_of(digests[1]).hex:
                await asyncio.sleep(0.01)

    assert 0 == gateway.total("apprproxy_moved_names_total")


async def test_a_content_type_that_cannot_be_sent_does_not_end_a_push(start: Start) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; x=\x01\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    async with answering(said) as url:
        gateway = await start({"up": SimpleNamespace(url=url)}, writes="pass")
        got = await gateway.get(PUSH, "POST", body=b"{}")

    assert (200, b"{}", "text/plain") == (got.status, got.body, got.headers["Content-Type"])


@pytest.mark.parametrize("status", ["000", "101", "600", "999"])
async def test_what_is_no_status_of_an_answer_does_not_end_a_push(start: Start, status: str) -> None:
    """Behind 101, which nobody asked for, a proxy in front of us would take the connection for a tunnel."""
    said = f"HTTP/1.1 {status} Odd\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    async with answering(said.encode()) as url:
        gateway = await start({"up": SimpleNamespace(url=url)}, writes="pass")
        got = await gateway.get(PUSH, "POST", body=b"{}")

    assert 502 == got.status
    assert "did not answer in HTTP" in got.json["message"]


async def test_a_push_of_ten_thousand_nothings_is_refused_before_it_is_looked_into(
    start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream}, writes="pass")
    got = await gateway.get(PUSH, "POST", body=b'{"release":"1","z":[' + b"[]," * 10_001 + b"[]]}")

    assert 400 == got.status
    assert "too many fields" in got.json["message"]
    assert 0 == upstream.count()


@pytest.mark.parametrize("codings", [["gzip"], ["identity", "gzip"]])
async def test_a_push_that_is_coded_is_refused(start: Start, upstream: Upstream, codings: list[str]) -> None:
    """Its upstream would be sent what it is not told to decode."""
    gateway = await start({"up": upstream}, writes="pass")
    fields = CIMultiDict([("Content-Encoding", coding) for coding in codings])
    got = await gateway.get(PUSH, "POST", fields, b"not decoded here")

    assert 400 == got.status
    assert "Content-Encoding" in got.json["message"]
    assert 0 == upstream.count()


async def test_pushes_that_an_upstream_does_not_answer_leave_others_their_places(start: Start) -> None:
    never = asyncio.Event()

    async def silent(_: web.BaseRequest) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async def good(_: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    async with listening(silent) as one, listening(good) as two:
        gateway = await start({"silent": SimpleNamespace(url=one), "good": SimpleNamespace(url=two)}, writes="pass")
        pushes = [asyncio.create_task(gateway.get(f"/silent{PUSH}", "POST", body=b"{}")) for _ in range(bodies.AT_ONCE)]
        await asyncio.sleep(0.1)
        got = await gateway.get(f"/good{PUSH}", "POST", body=b"{}")
        never.set()
        await asyncio.gather(*pushes)

    assert 200 == got.status


async def test_pushes_of_one_package_at_which_an_upstream_fails_shut_nobody_elses(
    start: Start, upstream: Upstream
) -> None:
    """Nor what is read of that package: for that nobody needs an account."""
    upstream.twist = lambda target: html(503) if "alice" in target else as_json({})
    gateway = await start({"up": upstream}, writes="pass")
    failed = [(await gateway.get(PUSH, "POST", body=b"{}")).status for _ in range(4)]
    asked = upstream.count("alice")
    upstream.twist = lambda _: as_json([])
    others = [
        (await gateway.get(path, method, body=body)).status
        for path, method, body in (
            ("/cnr/api/v1/packages/bob/web", "POST", b"{}"),
            ("/cnr/api/v1/packages/bob/web/1.0.0/helm", "DELETE", b""),
            ("/cnr/api/v1/users/login", "POST", b"{}"),
            (f"{PUSH}/channels", "GET", b""),
        )
    ]

    assert ([503] * 4, 3) == (failed, asked), "that one is shut"
    assert [200] * 4 == others


async def test_pushes_at_which_an_upstream_hangs_up_shut_nobody_elses_names(start: Start) -> None:
    """As a server does whose worker is killed for what it was sent."""

    async def server(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            assert request.transport is not None
            request.transport.abort()
        return web.json_response([])

    async with listening(server) as url:
        gateway = await start({"up": SimpleNamespace(url=url)}, writes="pass")
        failed = [(await gateway.get(PUSH, "POST", body=b"{}")).status for _ in range(4)]
        others = [
            (await gateway.get("/cnr/api/v1/packages/bob/web", "DELETE")).status,
            (await gateway.get("/cnr/api/v1/packages/bob/web/1.0.0/helm", "DELETE")).status,
            (await gateway.get("/cnr/api/v1/packages/bob/web/channels")).status,
        ]

    assert [502, 502, 502, 503] == failed
    assert [405, 200, 200] == others


async def test_a_large_push_arrives_as_it_came(start: Start) -> None:
    got: list[tuple[str | None, bytes]] = []

    async def server(request: web.BaseRequest) -> web.StreamResponse:
        got.append((request.headers.get("Content-Length"), await request.read()))
        return web.json_response({"status": "ok"})

    body = json.dumps({"release": "1.0.0", "media_type": "helm", "blob": "x" * 900_000}).encode()
    async with listening(server) as url:
        gateway = await start({"up": SimpleNamespace(url=url)}, writes="pass")
        answer = await gateway.get(PUSH, "POST", body=body)

    assert (200, [(str(len(body)), body)]) == (answer.status, got)


async def test_a_client_that_waits_to_be_told_is_told_to_go_on(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream}, writes="pass")
    async with wire(gateway.url) as client:
        await client.send(f"POST {PUSH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        first = await client.head()
        await client.send("{}")
        then = await client.head()

    assert "HTTP/1.1 100 Continue\r\n\r\n" == first
    assert "Apprproxy-Upstream: up" in then
    assert [b"{}"] == upstream.bodies


@pytest.mark.parametrize("length", [2, 200 << 20], ids=["nobody takes it", "too large"])
async def test_a_client_that_waits_to_be_told_is_refused_at_once(start: Start, upstream: Upstream, length: int) -> None:
    gateway = await start({"up": upstream}, writes="pass" if length > 2 else "refuse")
    async with wire(gateway.url) as client:
        head = f"POST {PUSH} HTTP/1.1\r\nHost: gateway\r\nContent-Length: {length}\r\nExpect: 100-continue"
        await client.send(f"{head}\r\n\r\n")

        assert (await client.head()).split()[1] in ("405", "413")
