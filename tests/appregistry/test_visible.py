"""A package of one digest under two names is shown under each name only as its owner says."""

from types import SimpleNamespace

from aiohttp import web

from apprproxy.core.model import MAX_PACKED
from tests.appregistry.archives import chart, digest_of, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.registry import GZIP, Answer
from tests.appregistry.upstream import Upstream, running
from tests.fakes.clock import Gate
from tests.fakes.listening import listening

TAR = chart("1.0.0")
DIGEST = digest_of(TAR).hex
ACCOUNT = {"username": "bot", "password": "s3cret", "share": True}


def blob(name: str) -> str:
    return f"/cnr/api/v1/packages/{name}/blobs/sha256/{DIGEST}"


async def test_a_package_is_not_there_under_a_name_that_lacks_it(start: Start, upstream: Upstream) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    upstream.registry.push("evil/nginx", "1.0.0", "helm", packed(chart("2.0.0")))
    gateway = await start({"up": upstream})
    mine = await gateway.get(blob("alice/nginx"))
    stranger = await gateway.get(blob("evil/nginx"))

    assert (200, TAR) == (mine.status, unpacked(mine.body))
    assert stranger.status in (403, 404)


async def test_a_package_is_there_under_both_names_that_have_it(start: Start, upstream: Upstream) -> None:
    for name in ("alice/nginx", "bob/nginx"):
        upstream.registry.push(name, "1.0.0", "helm", packed(TAR))
    gateway = await start({"up": upstream})
    answers = [await gateway.get(blob(name)) for name in ("alice/nginx", "bob/nginx", "bob/nginx")]

    assert [200] * 3 == [answer.status for answer in answers]
    assert {TAR} == {unpacked(answer.body) for answer in answers}


async def test_a_page_with_200_does_not_open_a_package_that_came_from_elsewhere(
    start: Start, upstream: Upstream
) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    async with running() as sick:
        sick.twist = lambda _: Answer(200, b"<html>Down for maintenance</html>", "text/html; charset=utf-8")
        gateway = await start({"up": upstream, "sick": sick})
        held = await gateway.get(blob("alice/nginx"))
        got = await gateway.get(f"/sick{blob('x/y')}")

    assert (200, 502) == (held.status, got.status)


async def test_a_claim_to_have_it_does_not_open_a_package_that_an_account_brought(
    start: Start, upstream: Upstream
) -> None:
    """Who has it sends it, packed in whichever way; the gzip that came first stays."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    async with running() as liar, running() as friend:
        liar.twist = lambda target: Answer(200, b"", GZIP) if "/blobs/" in target else None
        friend.registry.push("bob/nginx", "1.0.0", "helm", packed(TAR, level=1))
        gateway = await start({"up": upstream, "liar": liar, "friend": friend}, auth=ACCOUNT)
        held = await gateway.get(blob("alice/nginx"))
        lie = await gateway.get(f"/liar{blob('x/y')}")
        truths = [await gateway.get(f"/friend{blob('bob/nginx')}") for _ in range(3)]
        again = await gateway.get(blob("alice/nginx"))

    assert (200, 502) == (held.status, lie.status)
    assert {(200, TAR)} == {(truth.status, unpacked(truth.body)) for truth in truths}
    assert 2 == friend.count("/blobs/")
    assert held.body == again.body


async def test_a_package_that_two_upstreams_pack_differently_is_kept_once(start: Start, upstream: Upstream) -> None:
    """Each of them sends it, for both have an account; of two that are kept, either would take with it who may see
    it."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    async with running() as friend:
        friend.registry.push("bob/nginx", "1.0.0", "helm", packed(TAR, level=1))
        upstreams = {"up": upstream, "friend": friend}
        pulls = ["/up/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull"]
        pulls += ["/friend/cnr/api/v1/packages/bob/nginx/1.0.0/helm/pull"]
        gateway = await start(upstreams, auth=ACCOUNT)
        came = [await gateway.get(pull) for pull in pulls]
        await gateway.close()
        packages = [path for path in gateway.held() if path.read_bytes().startswith(b"\x1f\x8b")]
        gateway = await start(upstreams, auth=ACCOUNT, gateway={"offline": True})
        held = [await gateway.get(pull) for pull in pulls]

    assert {(200, TAR)} == {(answer.status, unpacked(answer.body)) for answer in (*came, *held)}
    assert 1 == len(packages)
    assert {packed(TAR)} == {answer.body for answer in held}


async def test_whether_a_package_is_there_is_heard_without_reading_it(start: Start, upstream: Upstream) -> None:
    rest = Gate()

    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        """A server that does not know HEAD, and begins to send what is as large as any package."""
        if request.method == "HEAD":
            return web.Response(status=500)
        response = web.StreamResponse(headers={"Content-Type": "application/x-gzip"})
        response.content_length = MAX_PACKED
        await response.prepare(request)
        await response.write(bytes(1000))
        await rest()
        return response

    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
    async with listening(slow) as url:
        gateway = await start({"up": upstream, "slow": SimpleNamespace(url=url)})
        await gateway.get(blob("alice/nginx"))
        got = await gateway.get(f"/slow{blob('x/y')}")

    assert (200, TAR) == (got.status, unpacked(got.body))
    assert 1 == rest.waiting
