"""The media type ``-`` means the only format of a release, also in front of servers that do not know it (cnr, Quay)."""

import json

import pytest

from tests.appregistry.archives import chart, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.registry import Answer, as_json
from tests.appregistry.upstream import Upstream

PACKAGE = "/cnr/api/v1/packages/alice/nginx"
NO_SUCH = {"code": "package-not-found", "message": "Package not found", "details": {"media_type": "-"}}


@pytest.fixture
def quay(upstream: Upstream) -> Upstream:
    """Answers 404 to ``-`` as cnr and Quay do; the newest release is a prerelease, 0.2.0 has two formats."""
    for release in ("0.1.0", "0.2.0", "1.0.0-rc.1"):
        upstream.registry.push("alice/nginx", release, "helm", packed(chart(release)))
    upstream.registry.push("alice/nginx", "0.2.0", "kpm", packed(chart("0.2.0", "kpm")))

    def unknowing(target: str) -> Answer | None:
        return as_json({"error": NO_SUCH}, 404) if "/-" in target else None

    upstream.twist = unknowing
    return upstream


@pytest.mark.parametrize(
    ("asked", "release"),
    [("0.1.0", "0.1.0"), ("default", "1.0.0-rc.1"), ("%3C0.2.0", "0.1.0"), ("%3E%3D0.1.0-0", "1.0.0-rc.1")],
)
async def test_the_only_format_is_found(quay: Upstream, start: Start, asked: str, release: str) -> None:
    gateway = await start({"quay": quay})
    manifest = await gateway.get(f"{PACKAGE}/{asked}/-")
    pull = await gateway.get(f"{PACKAGE}/{asked}/-/pull")

    assert (200, 200) == (manifest.status, pull.status)
    assert release == json.loads(manifest.body)["release"]
    assert chart(release) == unpacked(pull.body)


@pytest.mark.parametrize("release", ["v2", "1.0"])
async def test_a_release_whose_name_is_no_version_is_found_by_it(quay: Upstream, start: Start, release: str) -> None:
    quay.registry.push("alice/nginx", release, "helm", packed(chart(release)))
    quay.registry.push("alice/nginx", "1.0.5", "helm", packed(chart("1.0.5")))
    gateway = await start({"quay": quay})

    assert chart(release) == unpacked((await gateway.get(f"{PACKAGE}/{release}/-/pull")).body)


async def test_what_was_found_outlives_the_server(quay: Upstream, start: Start) -> None:
    gateway = await start({"quay": quay})
    await gateway.get(f"{PACKAGE}/default/-/pull")
    await quay.stop()
    gateway.clock.advance(3600.0)
    pull = await gateway.get(f"{PACKAGE}/default/-/pull")

    assert chart("1.0.0-rc.1") == unpacked(pull.body)


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("0.2.0", 400, "invalid-usage"),
        ("9.9.9", 404, "package-release-not-found"),
        ("latest", 422, "invalid-release"),
    ],
)
async def test_what_cannot_be_told_is_refused_as_the_genuine_server_does(
    quay: Upstream, start: Start, asked: str, status: int, code: str
) -> None:
    gateway = await start({"quay": quay})
    refused = await gateway.get(f"{PACKAGE}/{asked}/-")

    assert (status, code) == (refused.status, json.loads(refused.body)["code"])


async def test_several_formats_are_named(quay: Upstream, start: Start) -> None:
    gateway = await start({"quay": quay})
    refused = await gateway.get(f"{PACKAGE}/0.2.0/-")

    assert "media-type non specified: [helm,kpm]" == json.loads(refused.body)["message"]


async def test_a_package_that_does_not_exist_is_told_in_the_servers_own_words(quay: Upstream, start: Start) -> None:
    gateway = await start({"quay": quay})
    refused = await gateway.get("/cnr/api/v1/packages/alice/nothing/default/-")

    assert (404, NO_SUCH) == (refused.status, json.loads(refused.body))


async def test_a_403_in_quays_words_is_a_403_and_hands_the_name_to_nobody(quay: Upstream, start: Start) -> None:
    forbidden = {"code": "forbidden", "message": "Unauthorized access", "details": {"package": "corp/app"}}
    quay.twist = lambda _: as_json({"error": forbidden}, 403)
    gateway = await start({"quay": quay})
    refused = await gateway.get("/cnr/api/v1/packages/corp/app/1.0.0/helm")
    again = await gateway.get("/cnr/api/v1/packages/corp/app/1.0.0/helm")

    assert (403, forbidden) == (refused.status, json.loads(refused.body))
    assert (403, 1) == (again.status, quay.count("corp/app"))


async def test_a_format_that_no_client_could_ask_for_is_the_upstreams_fault(upstream: Upstream, start: Start) -> None:
    upstream.registry.push("alice/nginx", "0.1.0", "helm", packed(chart("0.1.0")))

    def odd(target: str) -> Answer | None:
        if "/-" in target:
            return as_json({"error": NO_SUCH}, 404)
        honest = upstream.registry.answer("GET", target)
        return Answer(honest.status, honest.body.replace(b".helm.", b".a b."), honest.content_type)

    upstream.twist = odd
    gateway = await start({"quay": upstream})
    refused = await gateway.get(f"{PACKAGE}/0.1.0/-")

    assert (502, "upstream-failed") == (refused.status, json.loads(refused.body)["code"])
