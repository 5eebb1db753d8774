"""A tag list is gathered from all its upstream's pages, and paged anew for whoever asks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.errors import Malformed
from apprproxy.face.target import parse_target
from apprproxy.oci.paging import MOST, Page, asked_page, paged
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry

LIST = "/v2/hub/library/app/tags/list"
TAGS = [f"1.{number:02d}" for number in range(7)]
LISTS = {
    "tags": ("library/app/tags/list", {"name": "library/app", "tags": ["a"]}),
    "catalog": ("_catalog", {"repositories": ["a"]}),
    "referrers": (f"library/app/referrers/{digest(b'subject')}", {"schemaVersion": 2, "manifests": []}),
}
"""Their paths, and a page of each."""


def with_tags(registry: Registry) -> None:
    for tag in TAGS:
        registry.push("library/app", tag, b"layer")


def linking(kind: str, to: str) -> lies.Behaviour:
    return lies.says(200, json.dumps(LISTS[kind][1]).encode(), Link=f'<{to}>; rel="next"')


@pytest.mark.parametrize("page_size", [0, 1, 3, 7])
async def test_all_pages_are_gathered(registry: Registry, gateways: Gateways, page_size: int) -> None:
    with_tags(registry)
    registry.page_size = page_size
    gateway = await gateways.start({"hub": registry})
    answer = await gateway.get(LIST)

    assert {"name": "library/app", "tags": TAGS} == json.loads(answer.body)
    assert "application/json" == answer.headers["Content-Type"]
    assert (-(-7 // page_size) if page_size else 1) == registry.count("tags")


async def test_clients_page_through_what_is_held(registry: Registry, gateways: Gateways) -> None:
    with_tags(registry)
    gateway = await gateways.start({"hub": registry})
    path, seen = LIST + "?n=3", []
    while path:
        answer = await gateway.get(path)
        seen.append(json.loads(answer.body)["tags"])
        path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")

    assert [TAGS[:3], TAGS[3:6], TAGS[6:]] == seen
    assert 1 == registry.count()


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize(
    "link",
    [
        "/v2/library/other/tags/list?n=1",
        "/latest/meta-data",
        "../../../_catalog",
        "../x?n=1",
        "?a b",
        "//x/y",
        "\\",
        "http://[",
        "//℀/",
    ],
)
async def test_a_link_elsewhere_is_not_followed(registry: Registry, gateways: Gateways, kind: str, link: str) -> None:
    registry.on[kind] = linking(kind, link)
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(f"/v2/hub/{LISTS[kind][0]}")

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 1 == registry.count()


@pytest.mark.parametrize("kind", LISTS)
async def test_a_link_to_a_foreign_host_leads_to_no_foreign_host(
    registry: Registry, other: Registry, gateways: Gateways, kind: str
) -> None:
    below, _ = LISTS[kind]
    registry.on[kind] = lies.in_turn(linking(kind, f"{other.url}/v2/{below}?last=a"), lies.says(500))
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(f"/v2/hub/{below}")).status
    assert (2, 0) == (registry.count(kind), other.count())
    assert all(seen.target.startswith(f"/v2/{below}") for seen in registry.seen)


@pytest.mark.parametrize("kind", LISTS)
async def test_pages_without_end_end(registry: Registry, gateways: Gateways, kind: str) -> None:
    registry.on[kind] = linking(kind, "?last=a")
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(f"/v2/hub/{LISTS[kind][0]}")

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 200 >= registry.count(kind)


async def test_large_pages_without_end_end_early(registry: Registry, gateways: Gateways) -> None:
    body = json.dumps({"name": "library/app", "tags": ["x" * 100] * 60_000}).encode()
    registry.on["tags"] = lies.says(200, body, Link="<?last=a>; rel=next")
    gateway = await gateways.start({"hub": oci(registry, timeouts={"name": "1m"})})
    failed = await gateway.get(LIST)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 3 > registry.count("tags")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"tags": "a"}', b'{"tags": [1]}', b'{"tags": {"a": 1}}', b"[" * 5000, b"\xff"],
)
async def test_what_is_no_tag_list_is_an_outage(
    registry: Registry, gateways: Gateways, clock: Clock, body: bytes
) -> None:
    with_tags(registry)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(LIST)
    registry.on["tags"] = lies.says(200, body)
    clock.advance(61)
    stale = await gateway.get(LIST)
    none = await gateway.get("/v2/hub/library/more/tags/list")

    assert TAGS == json.loads(stale.body)["tags"]
    assert (502, "UNAVAILABLE") == (none.status, none.code)


async def test_null_means_no_tags(registry: Registry, gateways: Gateways) -> None:
    registry.on["tags"] = lies.says(200, b'{"name": "library/app", "tags": null}')
    gateway = await gateways.start({"hub": registry})

    assert {"name": "library/app", "tags": []} == json.loads((await gateway.get(LIST + "?n=5")).body)
    assert 200 == (await gateway.get(LIST)).status


async def test_unknown_fields_are_kept(registry: Registry, gateways: Gateways) -> None:
    body = b'{"child": [], "manifest": {"x": 1}, "name": "library/app", "tags": ["b", "a"]}'
    registry.on["tags"] = lies.says(200, body)
    gateway = await gateways.start({"hub": registry})
    paged_answer = json.loads((await gateway.get(LIST + "?n=1")).body)

    assert body == (await gateway.get(LIST)).body
    assert {"child": [], "manifest": {"x": 1}, "name": "library/app", "tags": ["a"]} == paged_answer


NAMES = st.lists(st.text("abcAB01.-", min_size=1))


@given(NAMES, st.integers(1, 10))
def test_pages_together_are_the_list(names: list[str], count: int) -> None:
    seen: list[str] = []
    more: str | None = ""
    while more is not None:
        page = asked_page(parse_target(f"/?{more}")) if more else Page(count, None)
        assert page is not None
        names_there, more = paged(sorted(set(names)), page)
        seen += names_there

    assert sorted(set(names)) == seen


@given(NAMES, st.text("abcAB01.-"))
def test_a_page_that_may_have_them_all_has_all_the_rest(names: list[str], last: str) -> None:
    assert (sorted({name for name in names if name > last}), None) == paged(sorted(set(names)), Page(len(names), last))


@given(NAMES)
def test_a_page_of_none_is_empty_and_the_last(names: list[str]) -> None:
    assert ([], None) == paged(sorted(set(names)), Page(0, None))


@given(NAMES, NAMES, st.integers(1, 3))
def test_what_comes_meanwhile_loses_and_repeats_nothing(names: list[str], more: list[str], count: int) -> None:
    first, link = paged(sorted(set(names)), Page(count, None))
    rest: list[str] = []
    if link is not None:
        page = asked_page(parse_target(f"/?{link}"))
        assert page is not None
        rest, _ = paged(sorted({*names, *more}), Page(len(names) + len(more), page.last))

    assert set(names) <= {*first, *rest}
    assert not set(first) & set(rest)


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", None),
        ("ns=quay.io", None),
        ("n=5", Page(5, None)),
        ("n=0", Page(0, None)),
        ("last=a", Page(MOST, "a")),
        ("n=5&last=a%26b", Page(5, "a&b")),
        ("last=", Page(MOST, "")),
        ("n=1001", Page(MOST, None)),
        ("n=999999999&last=a", Page(MOST, "a")),
    ],
)
def test_a_query_says_which_page(query: str, page: Page | None) -> None:
    assert page == asked_page(parse_target(f"/v2/app/tags/list?{query}"))


@pytest.mark.parametrize("count", ["", "many", "-1", "1.5", "9" * 10, "%20"])
def test_a_count_that_is_none_is_refused(count: str) -> None:
    with pytest.raises(Malformed) as refusal:
        asked_page(parse_target(f"/v2/app/tags/list?n={count}"))

    assert "PAGINATION_NUMBER_INVALID" == refusal.value.code
