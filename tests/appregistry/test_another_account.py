"""What an upstream said of names to one account is no answer for another, and is there again once that account is."""

import pytest

from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import Clock, Got
from tests.appregistry.registry import Answer, as_json
from tests.appregistry.upstream import Upstream

TAR = chart("1.0.0")
DIGEST = digest_of(TAR).hex
ACCOUNT = {"username": "bot", "password": "s3cret", "share": True}
LATER = 8 * 86400
"""Beyond ``stale_for``."""
LIST = "/cnr/api/v1/packages"
RELEASE = f"{LIST}/alice/nginx/1.0.0/helm"


async def told(start: Start, upstream: Upstream, *paths: str, **keys: object) -> list[Got]:
    """What an account is told, by a gateway that has ended by then."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR), {"of": "the account"})
    gateway = await start({"up": upstream}, auth=ACCOUNT, **keys)
    answers = [await gateway.get(path) for path in paths]
    await gateway.close()
    return answers


def refuses(status: int, code: str) -> Answer:
    return as_json({"error": {"code": code, "message": "said so", "details": {}}}, status)


@pytest.mark.parametrize("passed", [0, 120])
@pytest.mark.parametrize(("status", "code"), [(404, "package-not-found"), (403, "forbidden")])
async def test_what_an_account_was_told_is_not_kept_for_whoever_is_told_that_there_is_none(
    status: int, code: str, passed: int, start: Start, upstream: Upstream, clock: Clock
) -> None:
    """What is gone is kept, and this is not gone; nor is it fresh."""
    package = f"{LIST}/alice/nginx"
    paths = [LIST, package, f"{package}/1.0.0", RELEASE, f"{package}/1.0.0/-"]
    shown = await told(start, upstream, *paths)
    upstream.twist = lambda _: refuses(status, code)
    clock.advance(passed)
    gateway = await start({"up": upstream})
    refused = [await gateway.get(path) for path in paths]
    known = await gateway.get("/api/provenance?name=up/alice/nginx@1.0.0/helm")

    assert [200] * 5 == [answer.status for answer in shown]
    assert [status] * 5 == [answer.status for answer in refused]
    assert 404 == known.status


@pytest.mark.parametrize("offline", [False, True])
async def test_it_stands_in_for_nothing_while_the_upstream_lets_nobody_in_or_is_not_asked(
    offline: bool, start: Start, upstream: Upstream
) -> None:
    await told(start, upstream, RELEASE)
    upstream.twist = lambda _: refuses(401, "unauthorized-access")
    gateway = await start({"up": upstream}, gateway={"offline": offline})
    refused = await gateway.get(RELEASE)

    assert (504 if offline else 502) == refused.status


async def test_what_an_account_was_told_stays_its_own_while_another_one_is_used(
    start: Start, upstream: Upstream, clock: Clock
) -> None:
    (first,) = await told(start, upstream, RELEASE)
    upstream.twist = lambda _: refuses(404, "package-not-found")
    clock.advance(LATER)
    gateway = await start({"up": upstream})
    await gateway.get(RELEASE)
    await gateway.close()
    gateway = await start({"up": upstream}, auth=ACCOUNT)
    again = await gateway.get(RELEASE)

    assert (200, first.body) == (again.status, again.body)
    assert "gone-upstream" in again.cache


@pytest.mark.parametrize("path", ["", "/alice/nginx/1.0.0/helm", "/alice/nginx/channels"])
async def test_nor_is_it_dropped_by_what_the_other_one_is_told_where_what_is_gone_is(
    path: str, start: Start, upstream: Upstream
) -> None:
    (first,) = await told(start, upstream, f"{LIST}{path}", gone="follow")
    upstream.twist = lambda _: refuses(404, "package-not-found")
    gateway = await start({"up": upstream}, gone="follow")
    await gateway.get(f"{LIST}{path}")
    await gateway.close()
    gateway = await start({"up": upstream}, auth=ACCOUNT, gone="follow", gateway={"offline": True})
    again = await gateway.get(f"{LIST}{path}")

    assert (200, first.body) == (again.status, again.body)


async def test_the_document_that_an_account_had_does_not_stand_in_for_what_another_one_is_told(
    start: Start, upstream: Upstream, clock: Clock
) -> None:
    (first,) = await told(start, upstream, f"{LIST}/alice/nginx/1.0.0/-")
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("2.0.0")), {"of": "everybody"})
    clock.advance(120)
    gateway = await start({"up": upstream})
    now = await gateway.get(f"{LIST}/alice/nginx/1.0.0/-")

    assert {"of": "the account"} == first.json["metadata"]
    assert {"of": "everybody"} == now.json["metadata"]
    assert DIGEST == now.json["content"]["digest"]


async def test_the_search_finds_nothing_of_what_another_account_was_told(
    start: Start, upstream: Upstream, clock: Clock
) -> None:
    await told(start, upstream, LIST)
    upstream.twist = lambda _: refuses(403, "forbidden")
    clock.advance(30)
    gateway = await start({"up": upstream})
    found = await gateway.get("/api/search?q=nginx")

    assert [] == found.json["results"]
    assert ["up"] == found.json["missing"]


async def test_the_search_asks_again_for_a_list_that_another_account_was_told(
    start: Start, upstream: Upstream, clock: Clock
) -> None:
    await told(start, upstream, LIST)
    clock.advance(30)
    gateway = await start({"up": upstream})
    found = await gateway.get("/api/search?q=nginx")

    assert ["alice/nginx"] == [one["name"] for one in found.json["results"]]
    assert 2 == sum(target == LIST for target in upstream.asked)
