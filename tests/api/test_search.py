"""`GET /api/search` through the real gateway: what it finds, whom it asks for it, and what it does without them."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.listing import Facts
from apprproxy.core.lock import written
from apprproxy.core.threads import in_turn
from apprproxy.search import index
from apprproxy.search.index import Search
from apprproxy.search.keeper import LEARNED
from apprproxy.search.learning import BURST
from tests.appregistry.archives import chart, packed
from tests.appregistry.registry import Answer, as_json
from tests.appregistry.upstream import Upstream, running
from tests.bench.search import QUERIES
from tests.bench.search import names as many
from tests.fakes import lies
from tests.fakes.clock import PATIENCE, Clock, Gate, until
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.registry import Registry


@asynccontextmanager
async def quay(*packages: str) -> AsyncIterator[Upstream]:
    async with running() as one:
        for package in packages:
            for release in ("1.0.0", "1.10.0", "1.9.0"):
                one.registry.push(package, release, "helm", packed(chart(release)))
        yield one


def appr(upstream: Upstream, **keys: Any) -> dict[str, Any]:
    return {"kind": "appr", "url": upstream.url, **keys}


def document(got: Got) -> dict[str, Any]:
    assert (200, "application/json", "no-cache") == (
        got.status,
        got.headers["Content-Type"],
        got.headers["Cache-Control"],
    ), got.body
    found = json.loads(got.body)
    assert isinstance(found, dict)
    return found


async def find(gateway: Running, query: str) -> dict[str, Any]:
    return document(await gateway.get(f"/api/search?{query}"))


async def names(gateway: Running, query: str) -> list[str]:
    return [f"{one['upstream']}/{one['name']}" for one in (await find(gateway, query))["results"]]


async def states(gateway: Running, query: str = "q=a") -> dict[str, str]:
    return {one["upstream"]: one["state"] for one in (await find(gateway, query))["sources"]}


async def again(gateway: Running, query: str) -> dict[str, Any]:
    """Once what is asked behind the answer has been answered."""
    await find(gateway, query)
    await gateway.app.search.rest()
    return await find(gateway, query)


# --- how fast


async def test_100_000_packages_are_searched_in_under_20_milliseconds(gateways: Gateways) -> None:
    """Of this process's own time, client and upstream included, since the machine may be busy."""
    async with running() as one:
        listed = json.dumps([{"name": name, "releases": ["1"]} for name in many(100_000)], separators=(",", ":"))
        one.twist = lambda target: Answer(200, listed.encode()) if target.endswith("/packages") else None
        gateway = await gateways.start({"quay": appr(one)})
        while 100_000 not in (found := [one["names"] for one in (await again(gateway, "q=nginx"))["sources"]]):
            assert [0] == found, "a busy machine takes longer than searches wait for"
        best = {text: min([await taken(gateway, text) for _ in range(7)]) for text in QUERIES}

    assert {} == {text: seconds for text, seconds in best.items() if seconds > 0.020}


async def taken(gateway: Running, text: str) -> float:
    """Without what is asked behind the answer."""
    begun = time.process_time()
    await find(gateway, f"q={quote(text)}&limit=20")
    spent = time.process_time() - begun
    await gateway.app.search.rest()
    return spent


# --- what is found


async def test_channels_are_told_and_how_they_lead_to_a_release(gateways: Gateways) -> None:
    async with quay("alice/nginx") as one:
        for channel in ("stable", "beta"):
            one.registry.set_channel("alice/nginx", channel, "1.10.0")
        gateway = await gateways.start({"old": appr(one)})
        (found,) = (await again(gateway, "q=nginx"))["results"]

    assert (["beta", "stable"], "1.10.0", 3) == (found["channels"], found["latest"], found["versions"])


async def test_all_kinds_are_searched_at_once(registry: Registry, gateways: Gateways) -> None:
    registry.push("team/nginx", "1.2.0", b"layer")
    registry.push("team/nginx", "1.10.0", b"layer")
    async with quay("alice/nginx") as other:
        gateway = await gateways.start({"hub": registry, "old": appr(other)})
        found = (await again(gateway, "q=nginx"))["results"]

    host = gateway.url.removeprefix("http://")
    assert [
        {
            "name": "alice/nginx",
            "kind": "appr",
            "upstream": "old",
            "match": "exact",
            "latest": "1.10.0",
            "versions": 3,
            "formats": ["helm"],
            "channels": [],
            "pull": [{"client": "appr", "command": f"appr pull -t helm http://{host}/old/alice/nginx@1.10.0"}],
        },
        {
            "name": "team/nginx",
            "kind": "oci",
            "upstream": "hub",
            "match": "exact",
            "latest": "1.10.0",
            "versions": 2,
            "formats": [],
            "channels": None,
            "pull": [
                {"client": "crane", "command": f"crane pull --insecure {host}/hub/team/nginx:1.10.0 nginx.tar"},
                {"client": "helm", "command": f"helm pull oci://{host}/hub/team/nginx --version 1.10.0 --plain-http"},
            ],
        },
    ] == found


async def test_kind_and_view_and_limit_narrow_it(registry: Registry, other: Registry, gateways: Gateways) -> None:
    for one, name in ((registry, "a/one"), (registry, "a/two"), (other, "a/three")):
        one.push(name, "1.0", b"layer")
    async with quay("a/four") as packages:
        upstreams: dict[str, Any] = {"hub": registry, "far": other, "old": appr(packages)}
        gateway = await gateways.start(upstreams, views={"default": ["hub", "old"], "all": ["hub", "far", "old"]})
        limited = await find(gateway, "q=a&view=all&limit=2")

        assert ["old/a/four", "hub/a/one", "hub/a/two"] == await names(gateway, "q=a/")
        assert ["old/a/four"] == await names(gateway, "q=a/&kind=appr")
        assert ["hub/a/one", "far/a/three", "hub/a/two"] == await names(gateway, "q=a/&kind=oci&view=all")
        assert ["far/a/three"] == await names(gateway, "q=a/&view=far")
        assert (2, True) == (len(limited["results"]), limited["more"])


async def test_in_a_view_the_first_that_has_a_name_owns_it(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for one in (registry, other):
        one.push("corp/app", "1.0", b"layer")
    upstreams = {"hub": registry, "far": other}
    apart = await gateways.start(upstreams, "apart")
    view = await gateways.start(upstreams, "view", views={"default": ["far", "hub"]})

    assert ["hub/corp/app", "far/corp/app"] == await names(apart, "q=corp/app")
    assert ["far/corp/app"] == await names(view, "q=corp/app")


async def test_of_a_locked_upstream_the_lock_file_is_searched(
    registry: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    registry.push("evil/app", "1.0", b"layer")
    lock = tmp_path / "lock.json"
    lock.write_text(written({"good/app:1.0": Digest.of(b"manifest"), "good/app:1.1": Digest.of(b"other")}))
    gateway = await gateways.start({"hub": oci(registry, names="locked", lock_file=str(lock))})
    (one,) = (await again(gateway, "q=app"))["results"]

    assert ("good/app", "1.1", 2) == (one["name"], one["latest"], one["versions"])
    assert 0 == registry.count()


async def test_what_the_rules_refuse_is_not_found(registry: Registry, other: Registry, gateways: Gateways) -> None:
    for name in ("corp/app", "secret/app", "open/app"):
        registry.push(name, "1.0", b"layer")
        other.push(name, "1.0", b"layer")
    gateway = await gateways.start(
        {"hub": oci(registry, deny=["secret/*"]), "corp": oci(other, own=["corp/*"], allow=["corp/*"])}
    )

    assert ["corp/corp/app", "hub/open/app"] == await names(gateway, "q=app")


async def test_a_rule_that_came_with_a_restart_holds_for_what_was_kept(registry: Registry, gateways: Gateways) -> None:
    registry.push("secret/app", "1.0", b"layer")
    before = await gateways.start({"hub": registry})
    assert ["hub/secret/app"] == await names(before, "q=app")
    await before.close()
    await registry.stop()
    denied = await gateways.start({"hub": oci(registry, deny=["secret/*"])})
    found = await names(denied, "q=app")
    await denied.close()
    untrusted = await gateways.start({"hub": oci(registry, names="refuse")})

    assert [] == found
    assert ([], {"hub": "refused"}) == (await names(untrusted, "q=app"), await states(untrusted))


async def test_names_that_no_client_could_ask_for_are_left_out(registry: Registry, gateways: Gateways) -> None:
    evil = ["ok/app", "app; rm -rf ~", "$(id)/app", "app\x1b[31m", "../app", "APP", 7, None, "app" * 200]
    registry.on["catalog"] = lies.says(200, json.dumps({"repositories": evil[:6] + evil[8:]}).encode())
    gateway = await gateways.start({"hub": registry})
    async with quay() as other:
        packages = [{"name": name} for name in ("ok/app", "$(id)/app", "a/b/app", "-x/app", "app", "ok/app\n")]
        other.twist = lambda _: as_json(packages)
        old = await gateways.start({"old": appr(other)}, "other")

        assert ["hub/ok/app"] == await names(gateway, "q=app")
        assert ["old/ok/app"] == await names(old, "q=app")


@pytest.mark.parametrize("host", ["gw.corp", "gw.corp:8443", "[::1]:80"])
async def test_the_command_lines_name_the_host_that_was_asked(
    registry: Registry, gateways: Gateways, host: str
) -> None:
    registry.push("a/app", "latest", b"layer")
    gateway = await gateways.start({"hub": registry})
    (one,) = document(await gateway.get("/api/search?q=app", Host=host))["results"]

    assert f"crane pull --insecure {host}/hub/a/app app.tar" == one["pull"][0]["command"]


@pytest.mark.parametrize(
    "host", ["gw;id", "gw corp", "$(id)", "-x", "gw/../..", "a'b", "a:port", "a:٣", "[::1", "a" * 300]
)
async def test_a_host_that_is_none_is_not_put_into_a_command_line(
    registry: Registry, gateways: Gateways, host: str
) -> None:
    gateway = await gateways.start({"hub": registry})
    refused = await gateway.get("/api/search?q=app", Host=host)

    assert (400, "malformed") == (refused.status, json.loads(refused.body)["code"])
    assert 0 == registry.count()


# --- whom it asks


async def test_nobody_is_asked_before_somebody_searches_and_then_once(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("a/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    before = registry.count()
    for _ in range(5):
        await again(gateway, "q=app")
    first = registry.count("catalog"), registry.count("tags")
    clock.advance(61)
    await again(gateway, "q=app")
    await until(lambda: registry.count("catalog") == 2)

    assert (0, (1, 1)) == (before, first)


async def test_offline_nobody_is_asked(registry: Registry, gateways: Gateways) -> None:
    registry.push("a/app", "1.0", b"layer")
    online = await gateways.start({"hub": registry})
    kept = await again(online, "q=app")
    await online.close()
    asked = registry.count()
    offline = await gateways.start({"hub": registry}, offline=True)
    empty = await gateways.start({"hub": registry}, "empty", offline=True)

    assert kept["results"][0]["versions"] == (await again(offline, "q=app"))["results"][0]["versions"] == 1
    assert (["hub"], []) == ((await find(empty, "q=app"))["missing"], await names(empty, "q=app"))
    assert asked == registry.count()


async def test_a_page_of_results_is_no_storm_of_requests(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    for number in range(100):
        registry.push(f"a/app-{number:03d}", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    for _ in range(3):
        await again(gateway, "q=app&limit=100")
    first = registry.count("tags")
    clock.advance(10)
    await again(gateway, "q=app&limit=100")

    assert (BURST, BURST + 5) == (first, registry.count("tags"))


async def test_an_upstream_that_does_not_answer_keeps_nothing_from_being_learned_of_another(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    for number in range(2 * BURST):
        other.push(f"a/app-{number:03d}", "1.0", b"layer")
    registry.push("b/app", "1.0", b"layer")
    gate = Gate()
    other.on["tags"] = lies.waiting_for(gate)
    gateway = await gateways.start({"slow": other, "hub": registry})
    await find(gateway, "q=app&limit=100")
    await gate.reached()
    await until(lambda: registry.count("tags") == 1)
    gate.open()
    await gateway.app.search.rest()
    found = await find(gateway, "q=b/app")

    assert [1] == [one["versions"] for one in found["results"]]
    assert BURST == other.count("tags")


async def test_what_failed_is_not_asked_at_each_search(registry: Registry, gateways: Gateways) -> None:
    registry.push("a/app", "1.0", b"layer")
    registry.on["tags"] = lies.hangs_up
    gateway, asked = await gateways.start({"hub": registry}), list[int]()
    for _ in range(2):
        await find(gateway, "q=app")
        await gateway.app.search.rest()
        asked.append(registry.count("tags"))

    assert 0 < asked[0] == asked[1]


async def test_what_was_one_too_many_is_asked_once_it_is_found_again(registry: Registry, gateways: Gateways) -> None:
    """Not in its turn, before what somebody looks for now."""
    for number in range(BURST + 20):
        registry.push(f"a/app-{number:03d}", "1.0", b"layer")
    registry.push("b/other", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await find(gateway, "q=app&limit=100")
    await gateway.app.search.rest()
    gateways.clock.advance(2)
    await find(gateway, "q=other")
    await gateway.app.search.rest()

    assert [1] == [one["versions"] for one in (await find(gateway, "q=other"))["results"]]


async def test_a_tag_list_that_is_held_costs_no_request(registry: Registry, gateways: Gateways) -> None:
    registry.push("a/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await gateway.get("/v2/a/app/tags/list")
    found = await again(gateway, "q=app")

    assert (1, "1.0", 1) == (found["results"][0]["versions"], found["results"][0]["latest"], registry.count("tags"))


async def test_many_searches_at_once_ask_once(registry: Registry, gateways: Gateways) -> None:
    registry.push("a/app", "1.0", b"layer")
    gate = Gate()
    registry.on["catalog"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    asked = [asyncio.create_task(names(gateway, "q=app")) for _ in range(8)]
    await gate.reached()
    gate.open()

    assert [["hub/a/app"]] * 8 == await asyncio.gather(*asked)
    assert 1 == registry.count("catalog")


# --- when they are away


async def test_a_restart_keeps_the_lists_and_what_was_learned(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("a/app", "1.0", b"layer")
    before = await gateways.start({"hub": registry})
    kept = await again(before, "q=app")
    await before.close()
    await registry.stop()
    clock.advance(30 * 86400)
    after = await gateways.start({"hub": oci(registry, stale_for="0s")})
    found = await find(after, "q=app")

    assert [1] == [one["versions"] for one in kept["results"]] == [one["versions"] for one in found["results"]]
    assert {"hub": "stale"} == await states(after)
    assert [] == found["missing"]


async def test_what_is_learned_of_thousands_of_channels_is_bounded(gateways: Gateways, registry: Registry) -> None:
    """Of what somebody finds an upstream may say any number, each as long as it likes."""
    gateway = await gateways.start({"hub": registry})
    keeper = gateway.app.search._keepers["hub"]
    few, many = Facts(channels=("beta", "stable")), Facts(channels=tuple(f"{number:0128}" for number in range(100)))
    for number in range(5000):
        keeper.learn(f"a/few{number}", few)
    honest = len(keeper.facts)
    for number in range(5000):
        keeper.learn(f"a/many{number}", many)

    assert 5000 == honest
    assert LEARNED > sum(len(channel) for facts in keeper.facts.values() for channel in facts.channels or ())
    assert many == keeper.facts["a/many4999"]


async def test_another_upstream_of_the_same_name_is_not_answered_for(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("private/app", "1.0", b"layer")
    before = await gateways.start({"hub": registry})
    assert ["hub/private/app"] == await names(before, "q=app")
    await before.close()
    other.on["catalog"] = lies.page(503)
    clock.advance(30 * 86400)
    after = await gateways.start({"hub": other})

    assert [] == await names(after, "q=app")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 99}', b"\x00" * 100])
async def test_a_kept_list_that_cannot_be_read_is_asked_for_anew(
    registry: Registry, gateways: Gateways, content: bytes
) -> None:
    registry.push("a/app", "1.0", b"layer")
    before = await gateways.start({"hub": registry})
    await find(before, "q=app")
    await before.close()
    (file,) = (before.cache / "search").iterdir()
    file.write_bytes(content)
    after = await gateways.start({"hub": registry})

    assert ["hub/a/app"] == await names(after, "q=app")


async def test_who_could_never_be_asked_is_named(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.push("a/app", "1.0", b"layer")
    other.on["catalog"] = lies.page(503)
    gateway = await gateways.start({"hub": registry, "far": other})
    got = await gateway.get("/api/search?q=app")

    assert ("far", ["far"]) == (got.headers["Apprproxy-Partial"], document(got)["missing"])
    assert {"hub": "listed", "far": "unknown"} == await states(gateway)


async def test_who_fails_later_is_answered_for_by_its_last_list(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("a/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, stale_for="0s")})
    await find(gateway, "q=app")
    registry.on["catalog"] = lies.page(503)
    clock.advance(61)
    await find(gateway, "q=app")
    await until(lambda: registry.count("catalog") == 2)
    got = await gateway.get("/api/search?q=app")

    assert ["a/app"] == [one["name"] for one in document(got)["results"]]
    assert "Apprproxy-Partial" not in got.headers


async def test_who_had_a_list_and_denies_it_is_answered_for_by_its_last_one(gateways: Gateways, clock: Clock) -> None:
    async with quay("bob/app") as one:
        gateway = await gateways.start({"quay": appr(one)})
        await find(gateway, "q=app")
        for status in (403, 404):
            one.twist = lambda _, status=status: as_json({"error": {"code": "not-found"}}, status)  # type: ignore[misc]
            clock.advance(120)
            await again(gateway, "q=app")
            clock.advance(7 * 86_400)
            after = await again(gateway, "q=app")

            assert (["bob/app"], "stale") == ([one["name"] for one in after["results"]], after["sources"][0]["state"])


async def test_an_upstream_without_a_catalog_is_not_missing(registry: Registry, gateways: Gateways) -> None:
    registry.offers = set()
    gateway = await gateways.start({"hub": registry})
    found = await find(gateway, "q=app")

    assert ([], [], {"hub": "not-offered"}) == (found["results"], found["missing"], await states(gateway))


async def test_a_slow_upstream_does_not_hold_up_the_others(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("a/app", "1.0", b"layer")
    gate = Gate()
    other.on["catalog"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"default": ["hub", "far"], "near": ["hub"]})
    await find(gateway, "q=app&view=near")
    impatient(gateway.app.search)
    found = await find(gateway, "q=app")
    gate.open()

    assert (["a/app"], ["far"]) == ([one["name"] for one in found["results"]], found["missing"])


async def test_lists_are_not_read_where_pulls_wait_for_documents(gateways: Gateways) -> None:
    """Of a quarter of a million packages that would be seconds."""
    async with quay("alice/nginx") as upstream:
        gateway = await gateways.start({"quay": appr(upstream)})
        done = threading.Event()
        pulling = [asyncio.create_task(in_turn(asyncio.Lock(), done.wait, 30)) for _ in range(10)]
        try:
            found = await again(gateway, "q=nginx")
        finally:
            done.set()
            await asyncio.gather(*pulling)

    assert ["1.10.0"] == [one["latest"] for one in found["results"]]


async def test_a_hung_upstream_is_waited_for_once_and_not_by_every_search(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("a/app", "1.0", b"layer")
    other.on["catalog"] = lies.waiting_for(Gate())
    gateway = await gateways.start({"hub": registry, "far": oci(other, timeouts={"name": "3s"})})
    gateway.app.search._patience = 1.5
    begun = time.monotonic()
    for _ in range(4):
        await find(gateway, "q=app")
    once = time.monotonic() - begun
    await until(lambda: gateway.metric("apprproxy_upstream_requests_total", upstream="far") == 1)
    clock.advance(61)
    begun = time.monotonic()
    found = await find(gateway, "q=app")
    after_it_failed = time.monotonic() - begun

    assert 1.4 < once < 3.0
    assert after_it_failed < 1.4
    assert ["far"] == found["missing"]


async def test_lists_are_renewed_behind_the_searches_as_long_as_there_are_any(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("a/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry, fresh_for="5m")})
    search = gateway.app.search
    before = await search.renew()
    await find(gateway, "q=app")
    registry.push("b/app", "1.0", b"layer")
    clock.advance(301)
    renewed = await search.renew()
    await until(lambda: registry.count("catalog") == 2)
    clock.advance(86_400)
    forgotten = await search.renew()

    assert (False, True, False) == (before, renewed, forgotten)
    assert 2 == registry.count("catalog")


async def test_a_list_of_yesterday_is_not_taken_for_what_there_is(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("a/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await find(gateway, "q=app")
    registry.push("b/app", "1.0", b"layer")
    clock.advance(3600)
    soon = await names(gateway, "q=app")
    async with asyncio.timeout(PATIENCE):
        while "hub/b/app" not in await names(gateway, "q=app"):
            pass
    await until(lambda: gateway.app.search._keepers["hub"]._refreshing is None)
    registry.push("c/app", "1.0", b"layer")
    clock.advance(2 * 86_400)

    assert ["hub/a/app"] == soon
    assert ["hub/a/app", "hub/b/app", "hub/c/app"] == await names(gateway, "q=app")


def impatient(search: Search) -> None:
    search._patience = 0.1


# --- many at once


class Ranking:
    """The search among names, held up until it is ``let`` go on."""

    def __init__(self, gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.texts: list[str] = []
        self.let = threading.Event()
        self._turns = gateway.app.search._turns
        monkeypatch.setattr(index, "ranked", partial(self._ranked, index.ranked))

    def _ranked(self, really: Callable[..., Any], keepers: Any, text: str, limit: int, **others: Any) -> Any:
        self.texts.append(text)
        self.let.wait(30)
        return really(keepers, text, limit, **others)

    async def wanted_by(self, number: int) -> None:
        await until(lambda: sum(one.users for one, _ in self._turns._shared.values()) == number)


async def held_up(registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch) -> tuple[Running, Ranking]:
    """A gateway that has names to find, and its next searches."""
    registry.push("a/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await find(gateway, "q=app")
    ranking = Ranking(gateway, monkeypatch)
    return gateway, ranking


async def test_searches_take_turns_equal_ones_together_and_hold_up_nobody_else(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, ranking = await held_up(registry, gateways, monkeypatch)
    asked = ["q=a", *["q=app"] * 40]
    asking = [asyncio.create_task(names(gateway, query)) for query in asked]
    await ranking.wanted_by(len(asked))
    others = [(await gateway.get(page)).status for page in ("/readyz", "/metrics")]
    ranking.let.set()

    assert [["hub/a/app"]] * len(asked) == await asyncio.gather(*asking)
    assert ["a", "app"] == sorted(ranking.texts)
    assert [200, 200] == others


async def test_a_search_that_is_not_given_its_turn_is_told_to_come_back(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway, ranking = await held_up(registry, gateways, monkeypatch)
    gateway.app.search._turns._patience = 0.05
    first = asyncio.create_task(names(gateway, "q=a"))
    await until(lambda: bool(ranking.texts))
    second = await gateway.get("/api/search?q=app")
    ranking.let.set()

    assert (503, "1") == (second.status, second.headers["Retry-After"])
    assert ["hub/a/app"] == await first == await names(gateway, "q=app")


# --- what is refused


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=",
        "q=%20%20",
        "q=" + "a" * 10_240,
        "q=a%00b",
        "q=a%1b[31m",
        "q=a%0ab",
        "q=a%e2%80%aeb",
        "q=%20a",
        "q=a&view=",
        "q=a&view=" + "a" * 64,
        "q=a&q=b",
        "q=a&limit=-1",
        "q=a&limit=0",
        "q=a&limit=101",
        "q=a&limit=",
        "q=a&limit=1.5",
        "q=a&limit=" + "9" * 5000,
        "q=a&limit=" + quote("٣"),
        "q=a&limit=1&limit=2",
        "q=a&kind=",
        "q=a&kind=npm",
        "q=%ff",
    ],
)
async def test_what_cannot_be_a_search_is_refused(registry: Registry, gateways: Gateways, query: str) -> None:
    gateway = await gateways.start({"hub": registry})
    refused = await gateway.get(f"/api/search?{query}")

    assert (400, "application/json") == (refused.status, refused.headers["Content-Type"])
    assert {"code", "message"} == json.loads(refused.body).keys()
    assert json.loads(refused.body)["message"].isprintable()
    assert 0 == registry.count()


async def test_what_is_not_there_is_said_in_json(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    got = [await gateway.get(path) for path in ("/api/search?q=a&view=none", "/api/", "/api", "/api/search/x")]
    posted = await gateway.ask("POST", "/api/search?q=a")

    assert [(404, "not-found")] * 4 == [(one.status, json.loads(one.body)["code"]) for one in got]
    assert (405, "GET, HEAD", "not-allowed") == (
        posted.status,
        posted.headers["Allow"],
        json.loads(posted.body)["code"],
    )


async def test_the_app_registry_keeps_its_own_end_points_below_api(gateways: Gateways) -> None:
    async with quay("alice/nginx") as one:
        gateway = await gateways.start({"old": appr(one)})
        listed = await gateway.get("/api/v1/packages")
        searched = await gateway.get("/api/v1/packages/search?q=nginx")
        lacking = await gateway.get("/api/v1/nothing")
        own = await gateway.get("/api/v1x/packages")

    assert (200, "alice/nginx") == (listed.status, json.loads(listed.body)[0]["name"])
    assert (200, ["alice/nginx"]) == (searched.status, json.loads(searched.body))
    assert (404, "resource-not-found") == (lacking.status, json.loads(lacking.body)["code"])
    assert (404, "not-found") == (own.status, json.loads(own.body)["code"])


async def test_searches_are_counted_by_their_kind(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    await find(gateway, "q=secret-name")

    assert 1 == gateway.metric("apprproxy_requests_total", face="api", kind="search", status="200")
    assert b"secret-name" not in gateway.app.metrics.text()
