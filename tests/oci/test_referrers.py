"""Who refers to a manifest: found where its registry says so, empty only on authority, and never empty by an outage.

An empty index that should not be one hides a signature.
"""

import json
import tracemalloc
from urllib.parse import quote

import pytest

from apprproxy.core.model import MIB
from apprproxy.core.reading import FEW_VALUES
from apprproxy.oci.referrers import MOST, NotAnIndex, count, joined
from tests.fakes import lies
from tests.fakes.clock import Clock, Gate
from tests.fakes.content import IMAGE, INDEX, digest, manifest, oci_error
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.registry import Registry, descriptor

APP = "library/app"
SUBJECT = manifest(b"layer", note="subject")
SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SBOM = "application/spdx+json"
EMPTY = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
QUICK = {"connect": "200ms", "read": "100ms", "name": "200ms", "revalidate": "100ms"}


def path(subject: bytes = SUBJECT, algorithm: str = "sha256", prefix: str = "hub/") -> str:
    return f"/v2/{prefix}{APP}/referrers/{digest(subject, algorithm)}"


def referrer(kind: str, note: str = "", algorithm: str = "sha256") -> bytes:
    """A manifest about SUBJECT."""
    subject = {"mediaType": IMAGE, "digest": digest(SUBJECT, algorithm), "size": len(SUBJECT)}
    return json.dumps({**json.loads(manifest(note=note)), "artifactType": kind, "subject": subject}).encode()


def attached(registry: Registry, *referrers: bytes) -> None:
    """The subject, and what refers to it, as a registry with the end point has them."""
    registry.add_manifest(APP, SUBJECT)
    for one in referrers:
        registry.add_manifest(APP, one)


def tagged(registry: Registry, *referrers: bytes, algorithm: str = "sha256") -> bytes:
    """The index that clients keep under a tag where the registry lacks the end point."""
    registry.offers.discard("referrers")
    registry.add_manifest(APP, SUBJECT, algorithm)
    index = json.dumps({**EMPTY, "manifests": [descriptor(one, digest(one)) for one in referrers], "x": 1}).encode()
    registry.add_manifest(APP, index, tag=digest(SUBJECT, algorithm).replace(":", "-")[: len(algorithm) + 65])
    return index


def digests(got: Got) -> list[str]:
    return sorted(one["digest"] for one in json.loads(got.body)["manifests"])


# --- found


async def test_the_end_points_answer_is_passed_on(registry: Registry, gateways: Gateways) -> None:
    signature, sbom = referrer(SIGNATURE), referrer(SBOM)
    attached(registry, signature, sbom)
    gateway = await gateways.start({"hub": registry})
    cold, warm, head = await gateway.get(path()), await gateway.get(path()), await gateway.head(path())

    assert sorted([digest(signature), digest(sbom)]) == digests(cold)
    assert cold.body == warm.body
    assert {"fwd=uri-miss; stored", "hit; ttl=60"} == {cold.cache, warm.cache}
    for got in (cold, warm, head):
        assert (200, INDEX) == (got.status, got.headers["Content-Type"])
        assert str(len(cold.body)) == got.headers["Content-Length"]
        assert ("hub", "no-cache") == (got.headers["Apprproxy-Upstream"], got.headers["Cache-Control"])
        assert "OCI-Filters-Applied" not in got.headers
    assert 1 == registry.count()


async def test_all_pages_are_gathered(registry: Registry, gateways: Gateways) -> None:
    several = [referrer(SIGNATURE, str(number)) for number in range(3)]
    attached(registry, *several)
    registry.page_size = 1
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(path())

    assert sorted(digest(one) for one in several) == digests(got)
    assert 3 == registry.count("referrers")
    assert "Link" not in got.headers


async def test_a_page_that_fails_makes_no_short_list(registry: Registry, gateways: Gateways) -> None:
    attached(registry, *(referrer(SIGNATURE, str(number)) for number in range(3)))
    registry.page_size = 1
    registry.on["referrers"] = lies.in_turn(lies.honestly, lies.says(404, b"404 page not found"))
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(path())).status


@pytest.mark.parametrize(
    "lacking",
    [
        lies.honestly,
        lies.says(404),
        lies.says(404, oci_error("NAME_UNKNOWN")),
        lies.says(404, oci_error("UNSUPPORTED")),
        lies.says(405, oci_error("UNSUPPORTED")),
        lies.says(501),
        lies.page(404),
    ],
    ids=["text", "nothing", "unknown", "unsupported", "405", "501", "HTML"],
)
async def test_without_the_end_point_the_fallback_tag_is_read(
    registry: Registry, gateways: Gateways, lacking: Behaviour
) -> None:
    index = tagged(registry, referrer(SIGNATURE))
    registry.on["referrers"] = lacking
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(path())

    assert (200, index, INDEX) == (got.status, got.body, got.headers["Content-Type"])


async def test_a_subject_may_be_named_by_sha512(registry: Registry, other: Registry, gateways: Gateways) -> None:
    signature = referrer(SIGNATURE, algorithm="sha512")
    registry.add_manifest(APP, SUBJECT, "sha512")
    registry.add_manifest(APP, signature)
    index = tagged(other, signature, algorithm="sha512")
    gateway = await gateways.start({"hub": registry, "far": other})
    found = await gateway.get(path(algorithm="sha512"))
    fallen_back = await gateway.get(path(algorithm="sha512", prefix="far/"))

    assert [digest(signature)] == digests(found)
    assert (200, index) == (fallen_back.status, fallen_back.body)
    assert "sha512-" + digest(SUBJECT, "sha512")[7:71] == other.seen[-1].target.rpartition("/")[2], (
        "the tag takes 64 digits of the digest"
    )


# --- filtered


@pytest.mark.parametrize("few", [FEW_VALUES, 0], ids=["at once", "beside everything else"])
@pytest.mark.parametrize("kind", [SIGNATURE, SBOM])
async def test_one_artifact_type_is_chosen_from_what_is_held(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch, kind: str, few: int
) -> None:
    monkeypatch.setattr("apprproxy.core.reading.FEW_VALUES", few)
    attached(registry, referrer(SIGNATURE), referrer(SBOM))
    gateway = await gateways.start({"hub": registry})
    await gateway.get(path())
    chosen = await gateway.get(f"{path()}?artifactType={quote(kind)}")
    none = await gateway.get(f"{path()}?artifactType=no/thing")

    assert [digest(referrer(kind))] == digests(chosen)
    assert [] == digests(none)
    for got in (chosen, none):
        assert (200, INDEX) == (got.status, got.headers["Content-Type"])
        assert ("artifactType", "hit; ttl=60") == (got.headers["OCI-Filters-Applied"], got.cache)
    assert 1 == registry.count()


async def test_a_fallback_index_is_filtered_and_keeps_its_other_fields(registry: Registry, gateways: Gateways) -> None:
    sbom = referrer("application/sbom")
    tagged(registry, referrer("application/signature"), sbom)
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(f"{path()}?artifactType=application/sbom")

    assert [digest(sbom)] == digests(got)
    assert 1 == json.loads(got.body)["x"]
    assert "artifactType" == got.headers["OCI-Filters-Applied"]


async def test_an_empty_filter_filters_nothing(registry: Registry, gateways: Gateways) -> None:
    attached(registry, referrer(SIGNATURE))
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get(f"{path()}?artifactType=")

    assert 1 == len(digests(got))
    assert "OCI-Filters-Applied" not in got.headers


# --- there are none


@pytest.mark.parametrize("offers", [{"referrers"}, set()], ids=["end point", "fallback tag"])
@pytest.mark.parametrize("known", [True, False], ids=["known subject", "unknown subject"])
async def test_where_nobody_refers_to_it_the_index_is_empty(
    registry: Registry, gateways: Gateways, offers: set[str], known: bool
) -> None:
    registry.offers = offers
    if known:
        registry.add_manifest(APP, SUBJECT)
    gateway = await gateways.start({"hub": registry})
    first = await gateway.get(path())
    asked = registry.count()
    again = await gateway.get(f"{path()}?artifactType={SBOM}")

    for got in (first, again):
        assert (200, EMPTY) == (got.status, json.loads(got.body))
        assert (INDEX, "no-cache") == (got.headers["Content-Type"], got.headers["Cache-Control"])
    assert "artifactType" == again.headers["OCI-Filters-Applied"]
    assert asked == registry.count(), "what there is not is remembered too"


async def test_what_is_attached_later_is_found(registry: Registry, gateways: Gateways, clock: Clock) -> None:
    gateway = await gateways.start({"hub": oci(registry, missing_for="10s")})
    unknown = await gateway.get(path())
    registry.add_manifest(APP, SUBJECT)
    clock.advance(11)
    alone = await gateway.get(path())
    attached(registry, referrer(SIGNATURE))
    clock.advance(61)
    signed = await gateway.get(path())

    assert [[], [], [digest(referrer(SIGNATURE))]] == [digests(got) for got in (unknown, alone, signed)]


@pytest.mark.parametrize("subject", ["latest", "sha256:xyz", "md5:" + "0" * 32, "sha256-" + "0" * 64])
async def test_a_subject_that_is_no_digest_is_refused(registry: Registry, gateways: Gateways, subject: str) -> None:
    gateway = await gateways.start({"hub": registry})
    refused = await gateway.get(f"/v2/hub/{APP}/referrers/{subject}")

    assert (400, "DIGEST_INVALID") == (refused.status, refused.code)
    assert 0 == registry.count()


# --- who could not be asked has not said that there are none

FAILING = {
    "500": lies.says(500),
    "500 in words": lies.says(500, oci_error("UNKNOWN")),
    "HTML 404": lies.page(404),
    "HTML 200": lies.page(200),
    "HTML 403": lies.page(403),
    "404 throttled": lies.says(404, oci_error("TOOMANYREQUESTS")),
    "404 denied": lies.says(404, oci_error("DENIED")),
    "401": lies.says(401, oci_error("UNAUTHORIZED")),
    "hangs up": lies.hangs_up,
}


@pytest.mark.parametrize("failing", FAILING.values(), ids=list(FAILING))
async def test_a_fallback_tag_that_cannot_be_looked_up_is_an_outage(
    registry: Registry, gateways: Gateways, failing: Behaviour
) -> None:
    tagged(registry, referrer(SIGNATURE))
    registry.on["tag"] = failing
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(path())
    registry.on.clear()
    found = await gateway.get(path())

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 1 == len(digests(found)), "an outage is not remembered"


async def test_a_fallback_tag_that_is_slow_to_come_is_an_outage(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    tagged(registry, referrer(SIGNATURE))
    registry.on["tag"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(registry, timeouts=QUICK)})
    failed = await gateway.get(path())
    gate.open()

    assert (504, "UNAVAILABLE") == (failed.status, failed.code)


@pytest.mark.parametrize(
    "failing",
    [
        lies.says(500),
        lies.says(400),
        lies.page(200),
        lies.page(403),
        lies.says(401),
        lies.hangs_up,
        lies.says(200),
        lies.says(200, b"{}"),
        lies.says(200, b"[]"),
        lies.says(200, b"null"),
        lies.says(200, b'{"manifests": null}'),
        lies.says(200, b'{"manifests": ["x"]}'),
        lies.says(200, manifest()),
        lies.says(200, b"[" * 5000),
    ],
)
async def test_an_end_point_that_fails_is_an_outage(registry: Registry, gateways: Gateways, failing: Behaviour) -> None:
    attached(registry, referrer(SIGNATURE))
    registry.on["referrers"] = failing
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(path())

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 0 == registry.count("tag"), "only its absence leads to the fallback tag"


@pytest.mark.parametrize("content", [manifest(note="an image"), b"<html>", b"{}", b""])
async def test_a_fallback_tag_that_is_no_index_is_an_outage(
    registry: Registry, gateways: Gateways, content: bytes
) -> None:
    tagged(registry)
    registry.on["GET tag"] = lies.says(200, content, Docker_Content_Digest=digest(content))
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(path())).status


async def test_a_fallback_index_of_another_digest_is_a_lie(registry: Registry, gateways: Gateways) -> None:
    tagged(registry, referrer(SIGNATURE))
    registry.on["GET tag"] = lies.says(200, json.dumps(EMPTY).encode(), Docker_Content_Digest=digest(b"else"))
    gateway = await gateways.start({"hub": registry})
    failed = await gateway.get(path())

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert 1 == gateway.metric("apprproxy_digest_mismatches_total", upstream="hub", source="owner")


@pytest.mark.parametrize("failing", [lies.says(500), lies.page(404), lies.hangs_up], ids=["500", "HTML", "hangs up"])
async def test_whether_the_subject_is_there_must_be_known(
    registry: Registry, gateways: Gateways, failing: Behaviour
) -> None:
    registry.add_manifest(APP, SUBJECT)
    registry.on["manifest"] = failing
    gateway = await gateways.start({"hub": registry})

    assert 502 == (await gateway.get(path())).status


async def test_a_denial_is_no_empty_index(registry: Registry, gateways: Gateways) -> None:
    tagged(registry, referrer(SIGNATURE))
    registry.on["tag"] = lies.says(403, oci_error("DENIED"))
    gateway = await gateways.start({"hub": registry})
    denied = await gateway.get(path())

    assert (403, "DENIED") == (denied.status, denied.code)


@pytest.mark.parametrize("kind", ["referrers", "tag"])
async def test_the_last_list_stands_in_while_the_upstream_fails(
    registry: Registry, gateways: Gateways, clock: Clock, kind: str
) -> None:
    signature = referrer(SIGNATURE)
    if kind == "tag":
        tagged(registry, signature)
    else:
        attached(registry, signature)
    gateway = await gateways.start({"hub": registry})
    await gateway.get(path())
    registry.on[kind] = lies.says(500)
    clock.advance(61)
    stale = await gateway.get(path())
    await registry.stop()
    clock.advance(61)
    later = await gateway.get(path())

    assert ["fwd=stale; fwd-status=500; detail=stale-if-error", "fwd=stale; detail=stale-if-error"] == [
        stale.cache,
        later.cache,
    ]
    assert [[digest(signature)]] * 2 == [digests(stale), digests(later)]


# --- in a view


async def view(gateways: Gateways, first: Registry, second: Registry) -> Running:
    return await gateways.start({"first": first, "second": second}, views={"default": ["first", "second"]})


async def test_an_earlier_member_that_does_not_know_the_subject_does_not_hide_its_referrers(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    signature = referrer(SIGNATURE)
    attached(other, signature)
    gateway = await view(gateways, registry, other)
    got = await gateway.get(path(prefix=""))

    assert 200 == (await gateway.get(path(prefix="first/"))).status, "it says there are none"
    assert ([digest(signature)], "second") == (digests(got), got.headers["Apprproxy-Upstream"])


async def test_the_owner_of_the_subject_has_the_last_word(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.add_manifest(APP, SUBJECT)
    attached(other, referrer(SIGNATURE))
    gateway = await view(gateways, registry, other)
    got = await gateway.get(path(prefix=""))

    assert ([], "first") == (digests(got), got.headers["Apprproxy-Upstream"])
    assert 0 == other.count()


async def test_an_earlier_members_outage_is_no_empty_index(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    attached(other, referrer(SIGNATURE))
    registry.on["referrers"] = lies.says(500)
    gateway = await view(gateways, registry, other)

    assert 502 == (await gateway.get(path(prefix=""))).status
    assert 0 == other.count()


async def test_nobody_knows_the_subject(registry: Registry, other: Registry, gateways: Gateways) -> None:
    other.offers.clear()
    gateway = await view(gateways, registry, other)
    got = await gateway.get(path(prefix=""))

    assert (200, EMPTY) == (got.status, json.loads(got.body))
    assert 0 < min(registry.count(), other.count())


@pytest.mark.parametrize("index", [b'{"manifests": [], "Manifests": [{}]}', b'{"manifests": [{"Digest": "sha256:0"}]}'])
def test_an_index_that_go_would_read_as_another_is_none(index: bytes) -> None:
    with pytest.raises(NotAnIndex, match="whatever its case"):
        joined([index])


def test_annotations_are_called_as_anybody_likes() -> None:
    index = b'{"manifests": [{"digest": "sha256:0", "annotations": {"Digest": "", "digest": "", "Manifests": ""}}]}'

    assert index == joined([index])


def empty(descriptors: int) -> bytes:
    return b'{"manifests": [' + b",".join([b"{}"] * descriptors) + b"]}"


def test_an_index_of_empty_descriptors_is_refused_before_they_are_taken_apart() -> None:
    document = empty(4 * MOST)
    tracemalloc.start()
    try:
        with pytest.raises(NotAnIndex, match="more than 100000 descriptors"):
            joined([document])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 64 * MIB > peak


def test_pages_are_counted_together() -> None:
    half = empty(MOST // 2)

    assert MOST == count(joined([half, half]))
    with pytest.raises(NotAnIndex, match="more than 100000 descriptors"):
        joined([half, half, half])


def test_no_page_is_taken_apart_beyond_what_may_be_in_all() -> None:
    half = empty(MOST // 2)

    with pytest.raises(NotAnIndex, match="more than 100000 descriptors"):
        joined([half, half, half, b"that nobody reads"])
