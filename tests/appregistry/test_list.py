"""The list of packages: one upstream's as it came, several upstreams' as one, and never silently short."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from apprproxy.gateway.names import lookup
from tests.appregistry.archives import chart, packed
from tests.appregistry.conftest import Start
from tests.appregistry.registry import Answer, as_json, html
from tests.appregistry.upstream import Upstream, running
from tests.fakes.clock import PATIENCE

LIST = "/cnr/api/v1/packages"


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    async with running() as one:
        yield one


def holds(upstream: Upstream, *packages: str, release: str = "1.0.0") -> None:
    for package in packages:
        upstream.registry.push(package, release, "helm", packed(chart(release)))


def listed(document: list[dict[str, Any]]) -> list[str]:
    return [package["name"] for package in document]


async def test_one_upstreams_list_is_passed_on_byte_for_byte(start: Start, upstream: Upstream) -> None:
    body = json.dumps([{"zeta": 1, "name": "a/b", "default": "1.0.0", "channels": None, "x": {"y": []}}]).encode()
    upstream.twist = lambda _: Answer(200, body)
    gateway = await start({"up": upstream})
    got = await gateway.get(LIST)

    assert (200, body) == (got.status, got.body)


async def test_a_release_of_any_length_keeps_nobody_from_the_list(start: Start, upstream: Upstream) -> None:
    """The genuine servers take one, from whoever may push any package at all."""
    holds(upstream, "alice/nginx")
    holds(upstream, "mallory/app", release=f"1.0.0+{'a' * 2000}")
    gateway = await start({"up": upstream})
    got = await gateway.get(LIST)

    assert (200, ["alice/nginx", "mallory/app"]) == (got.status, listed(got.json))


async def test_lists_are_merged_in_the_views_order_and_the_first_owner_wins(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx", "alice/redis", release="1.0.0")
    holds(other, "bob/app", "alice/nginx", release="2.0.0")
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(LIST)
    owned = {package["name"]: package["default"] for package in got.json}

    assert ["alice/nginx", "alice/redis", "bob/app"] == listed(got.json)
    assert {"alice/nginx": "1.0.0", "alice/redis": "1.0.0", "bob/app": "2.0.0"} == owned
    assert "one, two" == got.headers["Apprproxy-Upstream"]
    assert "Apprproxy-Partial" not in got.headers


async def test_unknown_fields_and_their_order_survive_the_merge(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    package = {
        "zeta": [{"b": 1, "a": 2}],
        "name": "quay/only",
        "channels": None,
        "namespace": "quay",
        "default": "1",
        "manifests": [],
    }
    other.twist = lambda _: as_json([package])
    holds(upstream, "alice/nginx")
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(LIST)

    sent = json.loads(as_json([package]).body)[0]
    assert json.dumps(sent) == json.dumps(got.json[1])


@pytest.mark.parametrize("trouble", ["stopped", "html 404", "html 500", "no list", "silent"])
async def test_a_list_that_lacks_a_member_says_so(
    trouble: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx")
    holds(other, "bob/app")
    if trouble == "stopped":
        await other.stop()
    other.silent = trouble == "silent"
    answers = {"html 404": html(404), "html 500": html(500), "no list": as_json({"oh": "no"})}
    other.twist = lambda _: answers.get(trouble)
    patience = {"timeouts": {"name": "1s"}} if trouble == "silent" else {}
    gateway = await start({"one": upstream, "two": other}, **patience)
    got = await gateway.get(LIST)

    assert (200, ["alice/nginx"]) == (got.status, listed(got.json))
    assert "two" == got.headers["Apprproxy-Partial"]


@pytest.mark.parametrize("target", [LIST, f"{LIST}?query=a", f"{LIST}/search?q=a"])
@pytest.mark.parametrize("before", ["never", "before"])
async def test_a_member_whose_list_is_no_json_does_not_spoil_the_others(
    before: str, target: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    """``NaN`` is taken for a number by some readers of JSON, and refused by others."""
    holds(upstream, "alice/nginx")
    holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other})
    if before == "before":
        await gateway.get(LIST)
        gateway.clock.advance(120)
    other.twist = lambda _: Answer(200, b'[{"name": "bob/app", "releases": ["1.0.0"], "score": NaN}]')
    got = await gateway.get(target)

    names = got.json if "search" in target else listed(got.json)
    assert (200, ["alice/nginx"] if before == "never" else ["alice/nginx", "bob/app"]) == (got.status, names)
    assert (None if before == "before" else "two") == got.headers.get("Apprproxy-Partial")


async def test_a_member_that_fails_is_stood_in_for_by_what_it_said_before(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx")
    holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other})
    await gateway.get(LIST)
    await other.stop()
    gateway.clock.advance(3600)
    got = await gateway.get(LIST)

    assert ["alice/nginx", "bob/app"] == listed(got.json)
    assert "stale-if-error" in got.cache
    assert "3600" == got.headers["Age"]
    assert "Apprproxy-Partial" not in got.headers


@pytest.mark.parametrize("target", [LIST, f"{LIST}?namespace=alice", f"{LIST}?query=nginx"])
async def test_no_list_at_all_is_502_and_names_everyone_who_failed(
    target: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    upstream.twist = other.twist = lambda _: html(500)
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(target)

    assert 502 == got.status
    assert ["one", "two"] == [source["source"] for source in got.json["details"]["sources"]]


@pytest.mark.parametrize("empty", ["one", "both"])
async def test_an_empty_list_of_an_upstream_that_answered_is_an_answer(
    empty: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    if empty == "one":
        holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(LIST)

    assert (200, ["bob/app"] if empty == "one" else []) == (got.status, listed(got.json))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("nginx", ["alice/nginx", "bob/NGINX-old"]),
        ("NgInX", ["alice/nginx", "bob/NGINX-old"]),
        ("e/n", ["alice/nginx"]),
        ("%5B", []),
        (".*", []),
        ("%28%28%28", []),
        ("%5E", []),
        ("%5Cd", []),
        ("", ["alice/nginx", "bob/NGINX-old", "bob/app"]),
        ("%C3%9F", []),
    ],
)
async def test_a_query_is_text_to_be_found_whatever_characters_it_has(
    query: str, found: list[str], start: Start, upstream: Upstream
) -> None:
    holds(upstream, "alice/nginx", "bob/NGINX-old", "bob/app")
    gateway = await start({"up": upstream})
    got = await gateway.get(f"{LIST}?query={query}")

    assert (200, found) == (got.status, listed(got.json))
    assert all("query" not in target for target in upstream.asked)


async def test_queries_of_any_number_are_answered_from_one_list(start: Start, upstream: Upstream) -> None:
    holds(upstream, "alice/nginx")
    gateway = await start({"up": upstream})
    for number in range(20):
        await gateway.get(f"{LIST}?query={number}")

    assert [LIST] == upstream.asked


async def test_filters_are_the_upstreams_to_apply(start: Start, upstream: Upstream) -> None:
    holds(upstream, "alice/nginx", "bob/app")
    upstream.registry.push("bob/app", "0.1.0", "kpm", packed(chart("0.1.0")))
    gateway = await start({"up": upstream})
    by_namespace = await gateway.get(f"{LIST}?namespace=alice&username=me")
    by_format = await gateway.get(f"{LIST}?media_type=kpm&namespace=bob")
    both_again = await gateway.get(f"{LIST}?namespace=bob&media_type=kpm")

    assert ["alice/nginx"] == listed(by_namespace.json)
    assert ["bob/app"] == listed(by_format.json)
    assert by_format.body == both_again.body
    assert [f"{LIST}?namespace=alice", f"{LIST}?namespace=bob&media_type=kpm"] == upstream.asked


async def test_a_filter_at_which_an_upstream_fails_shuts_none_of_its_other_lists(
    start: Start, upstream: Upstream
) -> None:
    """Which filters there are is for clients to say, as which repositories."""
    holds(upstream, "alice/nginx")
    upstream.twist = lambda target: html(503) if "namespace=bad" in target else None
    gateway = await start({"up": upstream})
    failed = [(await gateway.get(f"{LIST}?namespace=bad")).status for _ in range(4)]
    asked = upstream.count("namespace=bad")
    others = [(await gateway.get(f"{LIST}{query}")).status for query in ("", "?namespace=alice", "?media_type=helm")]

    assert ([503] * 4, 3) == (failed, asked), "that one is shut"
    assert [200] * 3 == others


@pytest.mark.parametrize("query", ["x" * 257, "%00", "%0a", "%ff"])
async def test_a_query_that_is_no_text_is_refused(query: str, start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream})
    got = await gateway.get(f"{LIST}?query={query}")

    assert (400, "invalid-usage") == (got.status, got.json["code"])
    assert [] == upstream.asked


# --- names of a view


async def test_a_package_comes_from_the_first_member_that_has_it(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx")
    holds(other, "alice/nginx", "bob/app")
    gateway = await start({"one": upstream, "two": other})
    first = await gateway.get(f"{LIST}/alice/nginx/1.0.0/helm/pull")
    second = await gateway.get(f"{LIST}/bob/app/1.0.0/helm/pull")

    assert ("one", "two") == (first.headers["Apprproxy-Upstream"], second.headers["Apprproxy-Upstream"])
    assert 0 == other.count("alice")


async def test_a_member_that_cannot_answer_passes_no_name_on(start: Start, upstream: Upstream, other: Upstream) -> None:
    """Otherwise whoever registers the name elsewhere wins during an outage."""
    upstream.twist = lambda _: html(404)
    holds(other, "alice/nginx")
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(f"{LIST}/alice/nginx/1.0.0/helm/pull")

    assert 502 == got.status
    assert ["one"] == [source["source"] for source in got.json["details"]["sources"]]
    assert [] == other.asked


@pytest.mark.parametrize("part", ["channels/stable", "9.9.9/helm", "9.9.9/helm/pull", "9.9.9", "default/kpm"])
async def test_what_the_owner_of_a_package_lacks_is_nobody_elses(
    part: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    """A stranger's channel of that name would lead to a stranger's release."""
    holds(upstream, "corp/app", release="1.0.0")
    for media_type in ("helm", "kpm"):
        other.registry.push("corp/app", "9.9.9", media_type, packed(chart("9.9.9")))
    other.registry.set_channel("corp/app", "stable", "9.9.9")
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(f"{LIST}/corp/app/{part}")
    shown = await gateway.get(f"{LIST}/corp/app")

    assert 404 == got.status
    assert ["1.0.0"] == [one["release"] for one in shown.json]
    assert [] == other.asked


async def test_nor_is_a_list_of_it_by_a_filter_where_the_owner_says_no_to_that(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx")
    holds(other, "alice/nginx", "bob/app")
    no = as_json({"error": {"code": "package-not-found", "message": "there is none", "details": {}}}, 404)
    upstream.twist = lambda target: no if "media_type" in target else None
    gateway = await start({"one": upstream, "two": other})
    got = [await gateway.get(f"{LIST}/{package}?media_type=helm") for package in ("alice/nginx", "bob/app")]

    assert [404, 200] == [one.status for one in got]


async def test_no_member_has_it_is_404(start: Start, upstream: Upstream, other: Upstream) -> None:
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(f"{LIST}/alice/nginx/1.0.0/helm/pull")

    assert (404, "package-not-found") == (got.status, got.json["code"])
    assert (2, 1) == (upstream.count(), other.count())


async def test_a_list_that_no_member_has_is_404_and_not_empty(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    upstream.twist = other.twist = lambda _: as_json({"code": "package-not-found", "message": "none"}, 404)
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(LIST)

    assert (404, "package-not-found") == (got.status, got.json["code"])


async def test_a_member_that_has_no_list_leaves_the_others_whole(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx")
    other.twist = lambda _: as_json({"code": "package-not-found", "message": "none", "details": {}}, 404)
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(LIST)

    assert (200, ["alice/nginx"]) == (got.status, listed(got.json))
    assert "Apprproxy-Partial" not in got.headers


async def test_a_member_that_fails_at_one_package_of_its_list_has_failed(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    """As the genuine servers do at a release ``1.0.\u0663``, which they take and then do not find."""
    holds(upstream, "alice/nginx")
    lost = {"code": "package-not-found", "message": "none", "details": {"package": "mallory/app", "release": "1.0.3"}}
    other.twist = lambda _: as_json(lost, 404)
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(LIST)
    alone = await gateway.get(f"/two{LIST}")

    assert (200, ["alice/nginx"], "two") == (got.status, listed(got.json), got.headers.get("Apprproxy-Partial"))
    assert 502 == alone.status


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410])
async def test_a_member_that_had_a_list_and_denies_it_has_failed(
    status: int, start: Start, upstream: Upstream, other: Upstream
) -> None:
    """Clients take a package that is missing for one that was deleted."""
    holds(upstream, "alice/nginx")
    holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other}, stale_for="1h")
    await gateway.get(LIST)
    other.twist = lambda _: as_json({"code": "not-found", "message": "no such page"}, status)
    gateway.clock.advance(120)
    soon = await gateway.get(LIST)
    gateway.clock.advance(3700)
    late = await gateway.get(LIST)

    assert (["alice/nginx", "bob/app"], None) == (listed(soon.json), soon.headers.get("Apprproxy-Partial"))
    assert (["alice/nginx"], "two") == (listed(late.json), late.headers.get("Apprproxy-Partial"))


# --- members that own, fail and stall


async def test_a_member_that_stalls_is_stood_in_for_by_its_last_list_after_revalidate(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx")
    holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other}, timeouts={"name": "1m", "revalidate": "50ms"})
    await gateway.get(LIST)
    other.silent = True
    gateway.clock.advance(61)
    for target in (LIST, f"{LIST}?query=app", f"{LIST}/search?q=app"):
        got = await gateway.get(target)

        assert "bob/app" in got.body.decode()
        assert "Apprproxy-Partial" not in got.headers


async def test_whether_a_list_is_back_at_which_a_member_failed_is_waited_for_no_longer_than_for_an_upstream(
    start: Start, upstream: Upstream, other: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That it answers all else, or takes what is pushed, made everybody wait as long as it likes, each time anew."""
    monkeypatch.setattr(lookup, "PROBED_BY", 0.05)
    holds(upstream, "alice/nginx")
    holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other}, timeouts={"name": "1m"})
    other.twist = lambda target: html(503) if target == LIST else None
    for _ in range(4):
        await gateway.get(LIST)
    other.silent = True
    gateway.clock.advance(2)
    async with asyncio.timeout(PATIENCE):
        got, alone = await gateway.get(LIST), await gateway.get(f"/two{LIST}")

    assert (["alice/nginx"], "two") == (listed(got.json), got.headers["Apprproxy-Partial"])
    assert (503, True) == (alone.status, b"is back; answered 503" in alone.body), "and is told what it failed with"


async def test_of_a_member_that_lacks_a_package_its_list_is_asked_for_once(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    """Whether it has the package, too, is told by that."""
    holds(other, "bob/app")
    gateway = await start({"one": upstream, "two": other})

    assert 200 == (await gateway.get(f"{LIST}/bob/app")).status
    assert 1 == upstream.count("/bob/app")


@pytest.mark.parametrize("target", [f"{LIST}?namespace=bob", f"{LIST}?media_type=helm", f"{LIST}/search?q=a"])
async def test_every_merged_answer_that_lacks_a_member_says_so(
    target: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/app")
    holds(other, "bob/app")
    other.twist = lambda _: html(500)
    gateway = await start({"one": upstream, "two": other})
    got = await gateway.get(target)

    assert (200, "two") == (got.status, got.headers["Apprproxy-Partial"])


async def test_a_package_is_shown_by_the_member_that_lists_it(
    start: Start, upstream: Upstream, other: Upstream
) -> None:
    holds(upstream, "alice/nginx", release="1.0.0")
    holds(other, "alice/nginx", release="2.0.0")
    other.registry.set_channel("alice/nginx", "stable", "2.0.0")
    gateway = await start({"one": upstream, "two": other})
    shown = await gateway.get(f"{LIST}/alice/nginx")
    channels = await gateway.get(f"{LIST}/alice/nginx/channels")

    assert ["1.0.0"] == [manifest["release"] for manifest in shown.json]
    assert ("one", "one") == (shown.headers["Apprproxy-Upstream"], channels.headers["Apprproxy-Upstream"])
    assert [] == channels.json
    assert [] == other.asked


@pytest.mark.parametrize(
    "path", [f"{LIST}?namespace=made-up", f"{LIST}?media_type=made-up", f"{LIST}/a/b?media_type=up"]
)
async def test_what_a_filter_has_nothing_of_is_remembered_but_not_written_down(
    path: str, start: Start, upstream: Upstream, other: Upstream
) -> None:
    """Of ever new filters each would be a record for good. Whether the package has anything at all is asked once."""
    holds(upstream, "a/b")
    holds(other, "a/b")
    gateway = await start({"up": upstream, "other": other})
    await gateway.get(path)
    before = len(gateway.app.names._records)
    got = [await gateway.get(f"{path}{number}") for number in (1, 2, 1, 2)]

    assert [(200, [])] * 4 == [(one.status, one.json) for one in got]
    assert 3 == upstream.count("?")
    assert 4 >= len(upstream.asked)
    assert 2 >= before == len(gateway.app.names._records)


async def test_an_empty_list_of_all_packages_is_written_down(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream})
    got = await gateway.get(LIST)

    assert (200, []) == (got.status, got.json)
    assert gateway.app.names.known("up", "packages - -") is not None
