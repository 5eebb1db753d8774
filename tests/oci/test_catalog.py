"""The catalog: one upstream's as it says it, a view's merged without loss or repeat, and never silently short."""

import json

import pytest

from apprproxy.oci import lists
from apprproxy.oci.lists import MAX_NAMES
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import oci_error
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.registry import Registry

CATALOG = "/v2/_catalog"
NAMES = [f"library/app-{number:02d}" for number in range(7)]


def holding(registry: Registry, *names: str) -> None:
    for name in names:
        registry.push(name, "1.0", b"layer")


def listed(got: Got) -> list[str]:
    names = json.loads(got.body)["repositories"]
    assert isinstance(names, list)
    return names


async def pages(gateway: Running, path: str) -> list[list[str]]:
    """By the Links that a client would follow."""
    seen = []
    while path:
        got = await gateway.get(path)
        seen.append(listed(got))
        path = got.headers.get("Link", "").partition(">")[0].removeprefix("<")
    return seen


async def view(gateways: Gateways, first: Registry, second: Registry) -> Running:
    return await gateways.start({"first": first, "second": second}, views={"default": ["first", "second"]})


# --- one upstream


async def test_one_upstreams_catalog(registry: Registry, gateways: Gateways) -> None:
    holding(registry, *NAMES)
    gateway = await gateways.start({"hub": registry})
    got = [await gateway.get(path) for path in (CATALOG, "/v2/hub/_catalog", CATALOG)]
    head = await gateway.head(CATALOG)

    for one in got:
        assert (200, NAMES) == (one.status, listed(one))
        assert ("application/json", "hub") == (one.headers["Content-Type"], one.headers["Apprproxy-Upstream"])
        assert "Apprproxy-Partial" not in one.headers
        assert "Link" not in one.headers
    assert (200, b"", str(len(got[0].body))) == (head.status, head.body, head.headers["Content-Length"])
    assert ["fwd=uri-miss; stored", "hit; ttl=60"] == [got[0].cache, got[1].cache]
    assert 1 == registry.count()


async def test_the_token_is_asked_for_with_the_catalogs_own_scope(registry: Registry, gateways: Gateways) -> None:
    realm = f'Bearer realm="{registry.url}/token",service="fake"'
    registry.on["catalog"] = lies.in_turn(lies.says(401, WWW_Authenticate=realm), lies.honestly)
    registry.on["token"] = lies.says(200, b'{"token": "let-me-in"}')
    gateway = await gateways.start({"hub": registry})

    assert 200 == (await gateway.get(CATALOG)).status
    assert "scope=registry%3Acatalog%3A%2A" in registry.seen[1].target


@pytest.mark.parametrize("page_size", [0, 1, 3, 7])
async def test_an_upstreams_own_pages_are_gathered(registry: Registry, gateways: Gateways, page_size: int) -> None:
    holding(registry, *NAMES)
    registry.page_size = page_size
    gateway = await gateways.start({"hub": registry})

    assert NAMES == listed(await gateway.get(CATALOG))
    assert (-(-7 // page_size) if page_size else 1) == registry.count("catalog")


async def test_clients_page_through_what_is_held(registry: Registry, gateways: Gateways) -> None:
    holding(registry, *NAMES)
    gateway = await gateways.start({"hub": oci(registry, ns=["hub.corp"])})

    assert [NAMES[:3], NAMES[3:6], NAMES[6:]] == await pages(gateway, CATALOG + "?n=3")
    assert [NAMES[:4], NAMES[4:]] == await pages(gateway, "/v2/hub/_catalog?n=4")
    assert [NAMES[:4], NAMES[4:]] == await pages(gateway, CATALOG + "?ns=hub.corp&n=4"), "the Link keeps ns"
    assert NAMES[5:] == listed(await gateway.get(f"{CATALOG}?last={NAMES[4]}"))
    assert [] == listed(await gateway.get(f"{CATALOG}?n=0"))
    assert [] == listed(await gateway.get(f"{CATALOG}?n=3&last=zzz"))
    assert 1 == registry.count()


@pytest.mark.parametrize("query", ["n=many", "n=-1", "n=", "n=" + "9" * 100])
async def test_a_page_that_cannot_be_is_refused(registry: Registry, gateways: Gateways, query: str) -> None:
    gateway = await gateways.start({"hub": registry})
    refused = await gateway.get(f"{CATALOG}?{query}")

    assert (400, "PAGINATION_NUMBER_INVALID") == (refused.status, refused.code)
    assert 0 == registry.count()


async def test_an_empty_catalog_and_null_are_empty(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway = await gateways.start({"hub": registry})
    empty = await gateway.get(CATALOG)
    registry.on["catalog"] = lies.says(200, b'{"repositories": null}')
    clock.advance(61)
    null = await gateway.get(CATALOG)

    assert ([], []) == (listed(empty), listed(null))


@pytest.mark.parametrize(
    "lacking",
    [
        lies.says(404, b"404 page not found", Content_Type="text/plain"),
        lies.says(404, oci_error("NAME_UNKNOWN")),
        lies.says(404, oci_error("UNSUPPORTED")),
        lies.says(405, oci_error("UNSUPPORTED")),
        lies.says(501),
        lies.page(404),
    ],
    ids=["text", "unknown", "unsupported", "405", "501", "HTML"],
)
async def test_a_registry_without_a_catalog_is_no_outage(
    registry: Registry, gateways: Gateways, lacking: Behaviour
) -> None:
    registry.on["catalog"] = lacking
    gateway = await gateways.start({"hub": registry})
    refused = await gateway.get(CATALOG)

    assert (404, "NAME_UNKNOWN") == (refused.status, refused.code)
    assert "catalog" in refused.message


@pytest.mark.parametrize(
    ("failing", "status", "code", "said"),
    [
        (lies.says(500), 502, "UNAVAILABLE", "answered 500"),
        (lies.says(401, oci_error("UNAUTHORIZED")), 502, "UNAVAILABLE", "without a credential; see auth"),
        (lies.says(403, oci_error("DENIED", "no listing")), 403, "DENIED", "no listing"),
        (lies.page(403), 502, "UNAVAILABLE", "answered 403"),
        (lies.says(429, Retry_After="7"), 503, "UNAVAILABLE", "answered 429"),
        (lies.page(200), 502, "UNAVAILABLE", "not JSON"),
        (lies.says(200, b"{}"), 502, "UNAVAILABLE", "without repositories"),
        (lies.says(200, b'{"repositories": [1]}'), 502, "UNAVAILABLE", "without repositories"),
        (lies.says(200, b'{"repositories": {"a": 1}}'), 502, "UNAVAILABLE", "without repositories"),
        (lies.says(200, b'{"repositories": [], "Repositories": ["a"]}'), 502, "UNAVAILABLE", "whatever its case"),
        (lies.says(200, b"[" * 5000), 502, "UNAVAILABLE", "not an object"),
        (lies.hangs_up, 502, "UNAVAILABLE", "closed the connection"),
    ],
)
async def test_a_catalog_that_cannot_be_had_is_told_as_what_it_is(
    registry: Registry, gateways: Gateways, failing: Behaviour, status: int, code: str, said: str
) -> None:
    registry.on["catalog"] = failing
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(CATALOG)

    assert (status, code) == (failed.status, failed.code)
    assert said in failed.message


@pytest.mark.parametrize("path", [CATALOG, "/v2/hub/library/app/tags/list"])
async def test_pages_together_have_no_more_values_than_one_may_have(
    registry: Registry, gateways: Gateways, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is small, or few, but all of them would take as long as they like."""
    monkeypatch.setattr(lists, "MAX_VALUES", 1000)
    body = json.dumps({"repositories": ["a"], "tags": ["a"], "x": [{}] * 200}).encode()
    registry.on["catalog"] = registry.on["tags"] = lies.says(200, body, Link='<?last=a>; rel="next"')
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(path)

    assert (502, True) == (got.status, "has a list of more than 1000 values" in got.message)
    assert 3 == registry.count()


async def test_a_later_page_that_fails_makes_no_short_catalog(registry: Registry, gateways: Gateways) -> None:
    holding(registry, *NAMES)
    registry.page_size = 3
    registry.on["catalog"] = lies.in_turn(lies.honestly, lies.says(500))
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(CATALOG)).status


async def test_the_last_catalog_stands_in_while_the_upstream_fails(
    registry: Registry, gateways: Gateways, clock: Clock
) -> None:
    holding(registry, *NAMES)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(CATALOG)
    registry.on["catalog"] = lies.says(500)
    clock.advance(61)
    stale = await gateway.get(CATALOG)

    assert NAMES == listed(stale)
    assert "fwd=stale; fwd-status=500; detail=stale-if-error" == stale.cache
    assert "Apprproxy-Partial" not in stale.headers


# --- a view


@pytest.mark.parametrize("count", [1, 2, 3, 100])
async def test_a_views_catalogs_are_merged_without_loss_or_repeat(
    registry: Registry, other: Registry, gateways: Gateways, count: int
) -> None:
    holding(registry, *NAMES[::2], "zoo")
    holding(other, *NAMES[1:], "alpha")
    gateway = await view(gateways, registry, other)
    whole = await gateway.get(CATALOG)
    paged = await pages(gateway, f"{CATALOG}?n={count}")

    assert ["alpha", *NAMES, "zoo"] == listed(whole)
    assert ["alpha", *NAMES, "zoo"] == [name for page in paged for name in page]
    assert "first, second" == whole.headers["Apprproxy-Upstream"]
    assert (1, 1) == (registry.count(), other.count())


@pytest.mark.parametrize(
    "failing",
    [lies.says(500), lies.says(401), lies.says(403, oci_error("DENIED")), lies.page(200), lies.hangs_up],
    ids=["500", "401", "403", "HTML", "hangs up"],
)
async def test_a_member_that_cannot_be_asked_is_named(
    registry: Registry, other: Registry, gateways: Gateways, failing: Behaviour
) -> None:
    holding(other, "app")
    registry.on["catalog"] = failing
    gateway = await view(gateways, registry, other)
    for query in ("", "?n=5"):
        got = await gateway.get(CATALOG + query)

        assert (200, ["app"]) == (got.status, listed(got))
        assert ("second", "first") == (got.headers["Apprproxy-Upstream"], got.headers["Apprproxy-Partial"])


async def test_a_member_without_a_catalog_leaves_nothing_out(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    holding(other, "app")
    registry.offers.clear()
    gateway = await view(gateways, registry, other)
    got = await gateway.get(CATALOG)

    assert (200, ["app"]) == (got.status, listed(got))
    assert "Apprproxy-Partial" not in got.headers


async def test_a_member_that_fails_is_represented_by_its_last_catalog(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    holding(registry, "one")
    holding(other, "two")
    gateway = await view(gateways, registry, other)
    await gateway.get(CATALOG)
    await registry.stop()
    clock.advance(61)
    got = await gateway.get(CATALOG)

    assert ["one", "two"] == listed(got)
    assert "Apprproxy-Partial" not in got.headers
    assert "fwd=stale; detail=stale-if-error" == got.cache


async def test_a_member_that_had_a_catalog_and_offers_none_any_more_is_named(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    holding(registry, "a/one")
    holding(other, "b/two")
    keys = {"stale_for": "1h"}
    gateway = await gateways.start(
        {"first": oci(registry, **keys), "second": oci(other, **keys)}, views={"default": ["first", "second"]}
    )
    await gateway.get("/v2/_catalog")
    other.offers.discard("catalog")
    clock.advance(120)
    soon = await gateway.get("/v2/_catalog")
    clock.advance(3700)
    late = await gateway.get("/v2/_catalog")

    assert (["a/one", "b/two"], None) == (listed(soon), soon.headers.get("Apprproxy-Partial"))
    assert (["a/one"], "second") == (listed(late), late.headers.get("Apprproxy-Partial"))


async def test_nobody_offers_a_catalog(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.offers.clear()
    other.offers.clear()
    gateway = await view(gateways, registry, other)
    refused = await gateway.get(CATALOG)

    assert (404, "NAME_UNKNOWN") == (refused.status, refused.code)


async def test_no_member_could_be_asked(registry: Registry, other: Registry, gateways: Gateways) -> None:
    registry.on["catalog"] = lies.says(500)
    other.offers.clear()
    gateway = await view(gateways, registry, other)
    failed = await gateway.get(CATALOG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "first: answered 500" in failed.message


async def test_a_catalog_of_nowhere_is_unknown(registry: Registry, gateways: Gateways) -> None:
    gateway = await gateways.start({"hub": registry})
    for path in ("/v2/nowhere/_catalog", "/v2/hub/app/_catalog"):
        refused = await gateway.get(path)

        assert (404, "NAME_UNKNOWN") == (refused.status, refused.code)
    assert 0 == registry.count()


@pytest.mark.parametrize("page", ["", "?n=10"])
async def test_half_a_character_in_a_members_catalog_is_that_members_outage(
    page: str, registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """What one reader takes and the next does not must not end the catalog of the view."""
    holding(registry, "library/app")
    other.on["catalog"] = lies.says(200, rb'{"repositories":["far/app"],"x":"\ud800"}', Content_Type="application/json")
    got = await (await view(gateways, registry, other)).get(f"{CATALOG}{page}")

    assert (200, ["library/app"], "second") == (got.status, listed(got), got.headers["Apprproxy-Partial"])


async def test_a_member_with_more_names_than_are_taken_is_named(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """A million fit into the bytes of a list, and to sort them would hold up everybody."""
    holding(registry, "library/app")
    names = [f"far/{number}" for number in range(MAX_NAMES + 2)]
    pages = [json.dumps({"repositories": half}).encode() for half in (names[: MAX_NAMES // 2], names[MAX_NAMES // 2 :])]
    whole = json.dumps({"repositories": names}).encode()
    other.on["catalog"] = lies.in_turn(
        lies.says(200, whole),
        lies.says(200, pages[0], Link='</v2/_catalog?last=x>; rel="next"'),
        lies.says(200, pages[1]),
        lies.says(200, whole),
    )
    gateway = await view(gateways, registry, other)
    answers = [await gateway.get(CATALOG) for _ in range(2)]
    alone = await gateway.get("/v2/second/_catalog")

    for got in answers:
        assert (200, ["library/app"], "second") == (got.status, listed(got), got.headers["Apprproxy-Partial"])
    assert (502, True) == (alone.status, f"has a list of more than {MAX_NAMES} names" in alone.message)


async def test_a_tag_list_of_more_names_than_are_taken_is_an_outage(registry: Registry, gateways: Gateways) -> None:
    holding(registry, "library/app")
    tags = [str(number) for number in range(MAX_NAMES + 2)]
    registry.on["tags"] = lies.says(200, json.dumps({"name": "library/app", "tags": tags}).encode())
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get("/v2/hub/library/app/tags/list")

    assert (502, True) == (got.status, f"has a list of more than {MAX_NAMES} names" in got.message)


async def test_half_a_character_in_a_tag_list_is_an_outage(registry: Registry, gateways: Gateways) -> None:
    holding(registry, "library/app")
    following = '</v2/library/app/tags/list?last=1>; rel="next"'
    half = rb'{"name":"library/app","tags":["1","\ud800"]}'
    registry.on["tags"] = lies.in_turn(
        lies.says(200, half, Content_Type="application/json"),
        lies.says(200, half, Content_Type="application/json", Link=following),
    )
    gateway = await gateways.start({"hub": registry})
    answers = [await gateway.get("/v2/hub/library/app/tags/list?n=5") for _ in range(2)]

    assert [502, 502] == [got.status for got in answers]


@pytest.mark.parametrize("name", ['"\\ud800"', '"a\\udfff"', '"\\ude00\\ud83d"'])
async def test_names_with_half_a_character_are_the_upstreams_fault(
    registry: Registry, gateways: Gateways, name: str
) -> None:
    body = f'{{"repositories": ["a", {name}], "tags": [{name}]}}'.encode()
    registry.on["catalog"] = registry.on["tags"] = lies.says(200, body)
    gateway = await gateways.start({"hub": registry})
    catalog, tags = await gateway.get(CATALOG), await gateway.get("/v2/hub/library/app/tags/list?n=1")

    assert [(502, "UNAVAILABLE")] * 2 == [(failed.status, failed.code) for failed in (catalog, tags)]


async def test_a_list_without_tags_is_not_written_down(registry: Registry, gateways: Gateways) -> None:
    """Some registries have one for every repository that somebody makes up."""
    registry.on["tags"] = lies.says(200, b'{"name": "made/up", "tags": null}', Content_Type="application/json")
    gateway = await gateways.start({"hub": registry})
    got = [await gateway.get("/v2/hub/made/up/tags/list") for _ in range(2)]

    assert [200, 200] == [one.status for one in got]
    assert 1 == registry.count("tags")
    assert 0 == len(gateway.app.names._records)
