"""A view's catalog while its members change, fail and stall between pages; and one of 100,000 repositories."""

import json
import tracemalloc

import pytest
from aiohttp import web

from tests.fakes import lies
from tests.fakes.clock import Clock, Gate
from tests.fakes.content import oci_error
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Honest
from tests.fakes.registry import Registry

CATALOG = "/v2/_catalog"
MANY = 100_000


def holding(registry: Registry, *names: str) -> None:
    for name in names:
        registry.push(name, "1.0", b"layer")


def listed(got: Got) -> list[str]:
    assert 200 == got.status
    names = json.loads(got.body)["repositories"]
    assert isinstance(names, list)
    return names


def following(got: Got) -> str:
    return got.headers.get("Link", "").partition(">")[0].removeprefix("<")


async def view(gateways: Gateways, first: Registry, second: Registry, **keys: object) -> Running:
    return await gateways.start(
        {"first": oci(first, **keys), "second": oci(second, **keys)}, views={"default": ["first", "second"]}
    )


@pytest.mark.parametrize("name", ["!" * 70_000, "!" * 256, "\u00e9" * 1100, "!\x1b[2J", "!\n"])
async def test_names_that_nothing_has_keep_nobody_from_the_names_behind_them(
    registry: Registry, other: Registry, gateways: Gateways, name: str
) -> None:
    """The next page would be asked for by a target that is longer than is taken."""
    holding(registry, "a", "\u00ea")
    other.on["catalog"] = lies.says(200, json.dumps({"repositories": [name, "b"]}).encode())
    gateway = await view(gateways, registry, other)
    seen, path = list[str](), f"{CATALOG}?n=1"
    while path:
        got = await gateway.get(path)
        seen, path = seen + listed(got), following(got)

    assert ["a", "b", "\u00ea"] == seen
    assert seen == listed(await gateway.get(CATALOG))


# --- members change between pages


async def test_names_that_come_and_go_between_pages_cost_no_other_name(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    holding(registry, "b", "d", "f")
    holding(other, "c", "e", "g")
    gateway = await view(gateways, registry, other)
    first = await gateway.get(f"{CATALOG}?n=3")
    registry.delete("d", "1.0")
    holding(registry, "a", "da")
    registry.on["catalog"] = lies.says(200, json.dumps({"repositories": ["a", "b", "da", "f"]}).encode())
    clock.advance(61)
    second = await gateway.get(following(first))
    third = await gateway.get(following(second))

    assert [["b", "c", "d"], ["da", "e", "f"], ["g"]] == [listed(page) for page in (first, second, third)]
    assert "" == following(third)


async def test_the_last_name_of_a_page_may_go_before_the_next(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    holding(registry, "a", "c")
    holding(other, "b", "d")
    gateway = await view(gateways, registry, other)
    first = await gateway.get(f"{CATALOG}?n=2")
    other.on["catalog"] = lies.says(200, b'{"repositories": ["d"]}')
    clock.advance(61)

    assert (["a", "b"], ["c", "d"]) == (listed(first), listed(await gateway.get(following(first))))


@pytest.mark.parametrize("how", ["stopped", "500", "lies", "stalls"])
async def test_a_member_that_fails_between_pages_is_answered_from_its_last_list(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock, how: str
) -> None:
    holding(registry, "a", "c", "e")
    holding(other, "b", "d")
    gateway = await view(gateways, registry, other, timeouts={"name": "1m", "revalidate": "50ms"})
    first = await gateway.get(f"{CATALOG}?n=2")
    if how == "stopped":
        await registry.stop()
    registry.on["catalog"] = {"500": lies.says(500), "lies": lies.page(200)}.get(how, lies.waiting_for(Gate()))
    clock.advance(61)
    rest = await gateway.get(following(first))

    assert (["a", "b"], ["c", "d"]) == (listed(first), listed(rest))
    assert ["e"] == listed(await gateway.get(following(rest)))
    assert "Apprproxy-Partial" not in rest.headers


async def test_beyond_stale_for_a_member_that_fails_is_named_on_the_page_that_lacks_it(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    holding(registry, "a", "c")
    holding(other, "b", "d")
    gateway = await view(gateways, registry, other, stale_for="1h")
    first = await gateway.get(f"{CATALOG}?n=2")
    registry.on["catalog"] = lies.says(500)
    clock.advance(60 + 3600 + 1)
    rest = await gateway.get(following(first))

    assert (["d"], "first") == (listed(rest), rest.headers["Apprproxy-Partial"])


# --- each member has its own time


async def test_a_member_that_stalls_delays_the_answer_by_its_own_time_and_no_more(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    holding(other, "app")
    registry.on["catalog"] = lies.waiting_for(Gate())
    gateway = await gateways.start(
        {"first": oci(registry, timeouts={"name": "100ms"}), "second": oci(other, timeouts={"name": "1m"})},
        views={"default": ["first", "second"]},
    )
    got = await gateway.get(CATALOG)

    assert (["app"], "first") == (listed(got), got.headers["Apprproxy-Partial"])


async def test_a_member_that_sends_page_after_page_is_given_its_time_for_all_of_them(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    holding(other, "app")
    gate = Gate()
    link = '<?last=a>; rel="next"'
    registry.on["catalog"] = lies.in_turn(lies.says(200, b'{"repositories": ["a"]}', Link=link), lies.waiting_for(gate))
    gateway = await gateways.start(
        {"first": oci(registry, timeouts={"name": "1s"}), "second": other}, views={"default": ["first", "second"]}
    )
    got = await gateway.get(CATALOG)

    assert (["app"], "first") == (listed(got), got.headers["Apprproxy-Partial"])
    assert (1, 2) == (gate.waiting, registry.count("catalog"))


# --- large ones


async def test_a_member_is_asked_for_large_pages_and_for_its_own_where_it_refuses_them(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    holding(registry, "a")
    holding(other, "b")
    refusal = lies.says(400, oci_error("PAGINATION_NUMBER_INVALID"))
    other.on["catalog"] = lies.in_turn(refusal, lies.honestly)
    gateway = await view(gateways, registry, other)

    assert ["a", "b"] == listed(await gateway.get(CATALOG))
    assert ["/v2/_catalog?n=1000"] == [seen.target for seen in registry.seen]
    assert ["/v2/_catalog?n=1000", "/v2/_catalog"] == [seen.target for seen in other.seen]


def large(names: list[str]) -> lies.Behaviour:
    """Pages of as many as were asked for."""

    async def answer(request: web.BaseRequest, _: Honest) -> web.StreamResponse:
        count, last = int(request.query["n"]), request.query.get("last", "-1")
        at = int(last.rpartition("-")[2]) + 1
        page = names[at : at + count]
        more = {"Link": f'</v2/_catalog?n={count}&last={page[-1]}>; rel="next"'} if at + count < len(names) else {}
        return await lies.honestly(request, Honest(200, json.dumps({"repositories": page}).encode(), more))

    return answer


async def test_100_000_repositories_are_paged_through_in_bounds(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    names = [f"group-{number % 100:02d}/team/repository-{number}" for number in range(MANY)]
    registry.on["catalog"] = large(names)
    other.on["catalog"] = lies.says(200, json.dumps({"repositories": names[: MANY // 2]}).encode())
    gateway = await view(gateways, registry, other, timeouts={"name": "1m"})
    first = await gateway.get(f"{CATALOG}?n=100")
    tracemalloc.start()
    path, seen, pages = following(first), listed(first), 1
    while path and pages < 50:
        got = await gateway.get(path)
        path, seen, pages = following(got), [*seen, *listed(got)], pages + 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    whole = await gateway.get(CATALOG)

    assert sorted(names)[:5000] == seen
    assert sorted(names) == listed(whole)
    assert 100 == registry.count("catalog")
    assert peak < 8 << 20, "a page must not parse the whole again"
