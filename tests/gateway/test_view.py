"""In a view, only an authoritative *no* passes a name on: nobody wins a name by an outage of its owner."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.appregistry.archives import chart, packed
from tests.appregistry.upstream import running
from tests.fakes import lies
from tests.fakes.clock import Clock
from tests.fakes.content import digest, oci_error
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.lies import Behaviour
from tests.fakes.registry import Registry, descriptor

TAG = "/v2/library/app/manifests/1.0"
DENIED = b'{"errors":[{"code":"DENIED","message":"not for you"}]}'


async def view(gateways: Gateways, first: Registry, second: Registry) -> Running:
    return await gateways.start(
        {"first": oci(first, stale_for="1h"), "second": oci(second, stale_for="1h")},
        views={"default": ["first", "second"], "both": ["first", "second"]},
    )


async def offline_view(gateways: Gateways, first: Registry, second: Registry) -> Running:
    return await gateways.start(
        {"first": oci(first), "second": oci(second)}, views={"default": ["first", "second"]}, offline=True
    )


async def test_the_first_member_that_has_a_name_answers(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push("library/app", "1.0", b"first")
    other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    answer = await gateway.get(TAG)

    assert (content, "first") == (answer.body, answer.headers["Apprproxy-Upstream"])
    assert 0 == other.count()


async def test_an_authoritative_no_passes_the_name_on(registry: Registry, other: Registry, gateways: Gateways) -> None:
    content = other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    answer = await gateway.get(TAG)

    assert (content, "second") == (answer.body, answer.headers["Apprproxy-Upstream"])
    assert content == (await gateway.get("/v2/both/library/app/manifests/1.0")).body


async def test_an_outage_does_not_pass_the_name_on(registry: Registry, other: Registry, gateways: Gateways) -> None:
    other.push("library/app", "1.0", b"squatted")
    registry.on["tag"] = lies.says(500)
    gateway = await view(gateways, registry, other)
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "first: " in failed.message
    assert 0 == other.count()


async def test_a_load_balancers_404_does_not_pass_the_name_on(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    other.push("library/app", "1.0", b"squatted")
    registry.on["tag"] = lies.page(404)
    gateway = await view(gateways, registry, other)

    assert 502 == (await gateway.get(TAG)).status
    assert 0 == other.count()


async def test_a_tag_whose_manifest_its_owner_has_not_does_not_pass_the_name_on(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """The tag is there, so that the name is its owner's."""
    registry.push("library/app", "1.0", b"first")
    other.push("library/app", "1.0", b"squatted")
    registry.on["manifest"] = lies.says(404, oci_error("MANIFEST_UNKNOWN"))
    gateway = await view(gateways, registry, other)
    failed = await gateway.get(TAG)

    assert (502, "UNAVAILABLE") == (failed.status, failed.code)
    assert "and has no such manifest" in failed.message
    assert 0 == other.count()


async def test_whoever_had_the_name_is_asked_first(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    content = other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    registry.push("library/app", "1.0", b"registered later")
    asked = registry.count()
    clock.advance(61)

    assert content == (await gateway.get(TAG)).body
    assert asked == registry.count()


async def test_an_earlier_members_outage_does_not_touch_names_of_later_ones(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    content = other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    await registry.stop()
    clock.advance(61)

    assert content == (await gateway.get(TAG)).body


async def test_the_owners_outage_beyond_stale_for_does_not_pass_its_name_on(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"first")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    other.push("library/app", "1.0", b"squatted")
    registry.on["tag"] = lies.says(500)
    clock.advance(60 + 3600 + 1)

    assert 502 == (await gateway.get(TAG)).status
    assert 0 == other.count()


async def test_nobody_has_it_is_a_404_that_names_everybody(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    gateway = await view(gateways, registry, other)
    missing = await gateway.get(TAG)

    assert (404, "MANIFEST_UNKNOWN") == (missing.status, missing.code)
    assert "first: " in missing.message
    assert "second: " in missing.message


async def test_a_blob_is_asked_for_where_its_repository_was_found(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    other.push("library/app", "1.0", b"layer")
    wanted = other.add_blob("library/app", b"layer")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)

    assert b"layer" == (await gateway.get(f"/v2/library/app/blobs/{wanted}")).body
    assert 0 == registry.count("blob")


async def test_a_blob_is_taken_from_whoever_has_it(registry: Registry, other: Registry, gateways: Gateways) -> None:
    wanted = other.add_blob("library/app", b"layer")
    registry.on["blob"] = lies.says(500)
    gateway = await view(gateways, registry, other)

    assert b"layer" == (await gateway.get(f"/v2/library/app/blobs/{wanted}")).body


ACCOUNT = {"auth": {"username": "bot", "password": "s3cret", "share": True}}


@pytest.mark.parametrize("keys", [{}, ACCOUNT], ids=["open", "with an account"])
async def test_the_first_members_bytes_wait_for_no_word_of_a_later_one(
    registry: Registry, other: Registry, gateways: Gateways, keys: dict[str, Any]
) -> None:
    """Its mirrors would have to hear from their owner first whether it has the blob, and how large that is."""
    wanted = registry.add_blob("library/app", b"layer")
    mirrors = [{"url": registry.url}]
    gateway = await gateways.start(
        {"hub": oci(registry), "far": oci(other, mirrors=mirrors, **keys)}, views={"default": ["hub", "far"]}
    )

    assert b"layer" == (await gateway.get(f"/v2/library/app/blobs/{wanted}")).body
    assert [] == other.seen


@pytest.mark.parametrize("keys", [{}, ACCOUNT], ids=["open", "with an account"])
async def test_a_later_member_sends_what_the_first_one_lacks(
    registry: Registry, other: Registry, gateways: Gateways, keys: dict[str, Any]
) -> None:
    wanted = other.add_blob("library/app", b"layer")
    registry.on["blob"] = lies.says(404)
    mirrors = [{"url": registry.url}]
    gateway = await gateways.start(
        {"hub": oci(registry), "far": oci(other, mirrors=mirrors, **keys)}, views={"default": ["hub", "far"]}
    )

    assert b"layer" == (await gateway.get(f"/v2/library/app/blobs/{wanted}")).body
    assert 1 == registry.count("GET blob")
    assert 0 == other.count("HEAD blob")


async def test_a_blob_at_a_later_member_wins_none_of_the_names(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("corp/app", "1.0", b"first")
    content = registry.push("corp/app", "2.0", b"first, newer")
    planted = other.add_blob("corp/app", b"planted")
    other.push("corp/app", "2.0", b"squatted")
    gateway = await view(gateways, registry, other)
    await gateway.get("/v2/corp/app/manifests/1.0")
    head = await gateway.head(f"/v2/corp/app/blobs/{planted}")
    answer = await gateway.get("/v2/corp/app/manifests/2.0")

    assert 200 == head.status
    assert (content, "first") == (answer.body, answer.headers["Apprproxy-Upstream"])


# --- one owner for all names of a repository


async def test_a_tag_that_the_owner_of_a_repository_lacks_is_nobody_elses(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("corp/app", "1.0", b"first")
    other.push("corp/app", "9.9", b"squatted")
    gateway = await view(gateways, registry, other)
    missing = await gateway.get("/v2/corp/app/manifests/9.9")
    listed = await gateway.get("/v2/corp/app/tags/list")

    assert (404, "MANIFEST_UNKNOWN") == (missing.status, missing.code)
    assert ["1.0"] == json.loads(listed.body)["tags"]
    assert 0 == other.count()


async def test_whether_the_owner_has_a_repository_is_asked_once_in_a_while(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("corp/app", "1.0", b"first")
    gateway = await view(gateways, registry, other)
    for number in range(5):
        assert 404 == (await gateway.get(f"/v2/corp/app/manifests/{number}")).status

    assert (5, 1) == (registry.count("HEAD tag"), registry.count("tags"))


@pytest.mark.parametrize(
    ("failing", "status"), [(lies.says(500), 502), (lies.page(404), 502), (lies.says(403, DENIED), 404)]
)
async def test_an_owner_that_does_not_say_whether_it_has_a_repository_passes_nothing_on(
    registry: Registry, other: Registry, gateways: Gateways, failing: Behaviour, status: int
) -> None:
    other.push("corp/app", "9.9", b"squatted")
    registry.on["tags"] = failing
    gateway = await view(gateways, registry, other)

    assert status == (await gateway.get("/v2/corp/app/manifests/9.9")).status
    assert 0 == other.count()


async def test_a_repository_without_a_tag_is_as_good_as_not_there(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    registry.push("corp/app", "1.0", b"first")
    registry.delete("corp/app", "1.0")
    content = other.push("corp/app", "9.9", b"second")
    gateway = await view(gateways, registry, other)

    assert content == (await gateway.get("/v2/corp/app/manifests/9.9")).body


async def test_an_earlier_member_is_asked_whatever_a_later_one_has(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    other.push("library/app", "1.0", b"second")
    other.push("library/app", "2.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    other.delete("library/app", "1.0")
    content = registry.push("library/app", "1.0", b"first")
    clock.advance(61)

    assert content == (await gateway.get(TAG)).body


# --- what is remembered, and for whom


def whose(got: Got) -> str:
    assert 200 == got.status
    return got.headers["Apprproxy-Upstream"]


async def test_the_decision_outlives_a_restart_and_another(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    registry.push("library/app", "1.0", b"registered later")
    for _ in range(2):
        await gateway.close()
        clock.advance(61)
        asked = registry.count()
        gateway = await view(gateways, registry, other)

        assert "second" == whose(await gateway.get(TAG))
        assert asked == registry.count()


async def test_a_remembered_owner_that_is_no_longer_a_member_is_not_asked(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    other.push("library/app", "1.0", b"second")
    both = {"first": oci(registry), "second": oci(other)}
    gateway = await gateways.start(both, views={"default": ["first", "second"]})
    await gateway.get(TAG)
    await gateway.close()
    asked = other.count()
    gateway = await gateways.start(both, views={"default": ["first"]})
    gone = await gateway.get(TAG)
    registry.push("library/app", "1.0", b"first")
    clock.advance(61)
    back = await gateway.get(TAG)

    assert 404 == gone.status, "and what is held of it is not shown"
    assert "first" == whose(back)
    assert asked == other.count()


@pytest.mark.parametrize("had", ["first", "second"])
@pytest.mark.parametrize("denied", [True, False])
async def test_where_one_had_left_or_was_denied_a_name_that_another_answered_meanwhile_the_order_decides_anew(
    had: str, denied: bool, registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registries = {"first": registry, "second": other}
    both, views = {name: oci(one) for name, one in registries.items()}, {"default": ["first", "second"]}
    registries[had].push("library/app", "1.0", had.encode())
    gateway = await gateways.start(both, views=views)
    before = whose(await gateway.get(TAG))
    await gateway.close()
    (meant,) = registries.keys() - {had}
    registries[meant].push("library/app", "1.0", meant.encode())
    without = {**both, had: oci(registries[had], deny=["library/*"])} if denied else both
    gateway = await gateways.start(without, views=views if denied else {"default": [meant]})
    meanwhile = whose(await gateway.get(TAG))
    await gateway.close()
    clock.advance(61)
    seen = []
    for offline in (True, False, True):
        gateway = await gateways.start(both, views=views, offline=offline)
        seen.append(whose(await gateway.get(TAG)))
        await gateway.close()

    assert (had, meant) == (before, meanwhile)
    assert ["first"] * 3 == seen


async def test_what_it_answered_alone_for_stays_a_member_s_own_and_nothing_is_written_down_of_it(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    """A view of one member would have a record of each name else."""
    both, views = {"first": oci(registry), "second": oci(other)}, {"default": ["first", "second"]}
    other.push("library/app", "1.0", b"second")
    other.push("library/other", "1.0", b"other")
    gateway = await gateways.start(both, views=views)
    await gateway.get(TAG)
    await gateway.close()
    registry.push("library/app", "1.0", b"first")
    clock.advance(61)
    gateway = await gateways.start(both, views={"default": ["second"]})
    for path in (TAG, "/v2/library/other/manifests/1.0"):
        await gateway.get(path)
    names = [await gateway.app.names.owner("default", f"tag library/{one} 1.0") for one in ("app", "other")]
    await gateway.close()
    gateway = await gateways.start(both, views=views)

    assert ["second", None] == names
    assert "second" == whose(await gateway.get(TAG))


async def test_what_an_earlier_member_s_lock_file_has_since_is_what_it_says(
    registry: Registry, other: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    content, lock = registry.push("library/app", "1.0", b"first"), tmp_path / "lock.json"
    other.push("library/app", "1.0", b"squatted")
    upstreams = beside_an_empty_lock_file(registry, other, lock)
    gateway = await gateways.start(upstreams, views={"default": ["first", "second"]}, cache="filled")
    paths = TAG, "/v2/library/app/tags/list"
    before = [whose(await gateway.get(path)) for path in paths]
    lock.write_text(locking(content))
    after = [whose(await gateway.get(path)) for path in paths]
    lock.write_text(locking())

    assert (["second"] * 2, ["first"] * 2) == (before, after)
    assert "second" == whose(await gateway.get(TAG))


async def test_offline_what_a_lock_file_has_and_is_not_held_is_nobody_else_s(
    registry: Registry, other: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    content, lock = registry.push("library/app", "1.0", b"first"), tmp_path / "lock.json"
    other.push("library/app", "1.0", b"squatted")
    upstreams = beside_an_empty_lock_file(registry, other, lock)
    views = {"default": ["first", "second"]}
    gateway = await gateways.start(upstreams, views=views)
    before = whose(await gateway.get(TAG))
    await gateway.close()
    lock.write_text(locking(content))
    gateway = await gateways.start(upstreams, views=views, offline=True)
    told = await gateway.get(f"/api/provenance?name=default/{TAG.removeprefix('/v2/').replace('/manifests/', ':')}")

    assert ("second", 504) == (before, (await gateway.get(TAG)).status)
    assert 404 == told.status


async def test_what_is_asked_for_by_digest_no_lock_file_has(
    registry: Registry, other: Registry, gateways: Gateways, tmp_path: Path
) -> None:
    """Whose it was is asked first, and who has a lock file takes nothing from it."""
    layer, lock = b"a layer", tmp_path / "lock.json"
    other.push("library/app", "1.0", layer)
    upstreams = beside_an_empty_lock_file(registry, other, lock)
    views, path = {one: ["first", "second"] for one in ("one", "other")}, f"library/app/blobs/{digest(layer)}"
    gateway = await gateways.start(upstreams, views=views)
    told = [(await gateway.head(f"/v2/one/{path}")).status]
    before = registry.count("HEAD blob")
    gateways.clock.advance(600)
    told.append((await gateway.head(f"/v2/one/{path}")).status)
    since = registry.count("HEAD blob")
    await gateway.close()
    gateway = await gateways.start(upstreams, views=views, offline=True)
    told += [(await gateway.head(f"/v2/{view}/{path}")).status for view in views]

    assert ([200] * 4, 1, 1) == (told, before, since)


def locking(content: bytes | None = None) -> str:
    names = {"library/app:1.0": digest(content)} if content is not None else {}
    return json.dumps({"version": 1, "names": names})


def beside_an_empty_lock_file(registry: Registry, other: Registry, lock: Path) -> dict[str, Any]:
    lock.write_text(locking())
    return {"first": oci(registry, names="locked", lock_file=str(lock)), "second": oci(other)}


async def test_two_views_of_the_same_members_remember_apart(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"first")
    other.push("library/app", "1.0", b"second")
    gateway = await gateways.start(
        {"first": registry, "second": other}, views={"ab": ["first", "second"], "ba": ["second", "first"]}
    )
    paths = [f"/v2/{name}/library/app/manifests/1.0" for name in ("ab", "ba", "ab", "ba")]
    fresh = [whose(await gateway.get(path)) for path in paths]
    clock.advance(61)
    expired = [whose(await gateway.get(path)) for path in paths]

    assert ["first", "second"] * 2 == fresh == expired


async def test_a_name_that_one_view_found_at_a_later_member_is_not_that_members_in_another(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    other.push("library/app", "1.0", b"second")
    gateway = await gateways.start(
        {"first": registry, "second": other}, views={"one": ["first", "second"], "two": ["first", "second"]}
    )
    await gateway.get("/v2/one/library/app/manifests/1.0")
    registry.on["tag"] = lies.says(500)
    clock.advance(11)  # the first member's own word that there is none counts for both, as long as it is remembered

    assert 200 == (await gateway.get("/v2/one/library/app/manifests/1.0")).status
    assert 502 == (await gateway.get("/v2/two/library/app/manifests/1.0")).status


async def test_the_owners_no_passes_a_remembered_name_on_and_an_outage_on_the_way_does_not(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get(TAG)
    other.delete("library/app", "1.0")
    registry.push("library/app", "1.0", b"first")
    registry.on["tag"] = lies.says(500)
    clock.advance(61)
    failed = await gateway.get(TAG)
    del registry.on["tag"]
    clock.advance(11)

    assert 502 == failed.status
    assert "first" == whose(await gateway.get(TAG))


async def test_offline_a_remembered_name_is_not_handed_to_whoever_holds_it(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    content = registry.push("library/app", "1.0", b"first")
    other.push("library/app", "1.0", b"squatted")
    gateway = await view(gateways, registry, other)
    assert content == (await gateway.get(TAG)).body
    assert 200 == (await gateway.get("/v2/second/library/app/manifests/1.0")).status
    await gateway.at_rest()
    await gateway.close()
    algorithm, _, name = next(one for one in gateway.blobs if content == _held(gateway, one)).partition(":")
    (gateway.cache / "blobs" / algorithm / name).unlink()
    offline = await offline_view(gateways, registry, other)

    assert 504 == (await offline.get(TAG)).status
    assert 200 == (await offline.get("/v2/second/library/app/manifests/1.0")).status


@pytest.mark.parametrize("asked", ["manifests/9.9", "tags/list"])
async def test_offline_no_other_name_of_its_repository_is_handed_to_whoever_holds_it_either(
    registry: Registry, other: Registry, gateways: Gateways, asked: str
) -> None:
    registry.push("corp/app", "1.0", b"first")
    other.push("corp/app", "9.9", b"squatted")
    gateway = await view(gateways, registry, other)
    assert "first" == whose(await gateway.get("/v2/corp/app/manifests/1.0"))
    assert 200 == (await gateway.get(f"/v2/second/corp/app/{asked}")).status
    await gateway.close()
    offline = await offline_view(gateways, registry, other)

    assert 504 == (await offline.get(f"/v2/corp/app/{asked}")).status
    assert "second" == whose(await offline.get(f"/v2/second/corp/app/{asked}"))


@pytest.mark.parametrize("asked", ["manifests/9.9", "tags/list"])
async def test_nor_to_one_before_it_that_had_it_once(
    registry: Registry, other: Registry, gateways: Gateways, asked: str, clock: Clock
) -> None:
    """It was passed over for others of its repository, since it had none of them any more."""
    registry.push("corp/app", "9.9", b"of before")
    other.push("corp/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    assert 200 == (await gateway.get(f"/v2/first/corp/app/{asked}")).status
    registry.delete("corp/app", "9.9")
    clock.advance(61)
    assert "second" == whose(await gateway.get("/v2/corp/app/manifests/1.0"))
    await gateway.close()
    offline = await offline_view(gateways, registry, other)

    assert 504 == (await offline.get(f"/v2/corp/app/{asked}")).status
    assert "first" == whose(await offline.get(f"/v2/first/corp/app/{asked}"))


def _held(gateway: Running, wanted: str) -> bytes:
    algorithm, _, name = wanted.partition(":")
    return (gateway.cache / "blobs" / algorithm / name).read_bytes()


# --- members of both protocols


@pytest.mark.parametrize("order", [["old", "hub"], ["hub", "old"]])
async def test_each_protocol_sees_its_own_members_of_a_view(
    registry: Registry, gateways: Gateways, clock: Clock, order: list[str]
) -> None:
    content = registry.push("alice/nginx", "1.0.0", b"an image")
    async with running() as packages:
        packages.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0")))
        gateway = await gateways.start(
            {"hub": oci(registry), "old": {"kind": "appr", "url": packages.url}},
            views={"corp": {"members": order, "hosts": ["registry.corp"]}},
        )
        for _ in range(2):
            image = await gateway.get("/v2/alice/nginx/manifests/1.0.0", Host="registry.corp")
            release = await gateway.get("/cnr/api/v1/packages/alice/nginx/1.0.0/helm", Host="Registry.corp:80")
            short = await gateway.get("/api/v1/packages/alice/nginx", Host="registry.corp")
            by_prefix = await gateway.get("/corp/cnr/api/v1/packages", Host="elsewhere.corp")
            clock.advance(61)

            assert (content, "hub") == (image.body, whose(image))
            assert ["old", "old", "old"] == [whose(got) for got in (release, short, by_prefix)]
        nobody = await gateway.get("/cnr/api/v1/packages/alice/nginx", Host="elsewhere.corp")

        assert 200 == nobody.status, "the only upstream of its kind answers where there is no view default"
        assert not any("v2" in target for target in packages.asked)
        assert not any("cnr" in seen.target for seen in registry.seen)


# --- lists of one repository


async def test_a_tag_list_is_its_owners_and_never_a_mixture(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"first")
    other.push("library/app", "2.0", b"second")
    other.push("library/more", "3.0", b"second")
    gateway = await view(gateways, registry, other)
    shared = await gateway.get("/v2/library/app/tags/list")
    passed_on = await gateway.get("/v2/library/more/tags/list")
    registry.on["tags"] = lies.says(500)
    clock.advance(61)
    stale = await gateway.get("/v2/library/app/tags/list")
    remembered = await gateway.get("/v2/library/more/tags/list")
    failed = await gateway.get("/v2/library/other/tags/list")

    assert ("first", ["1.0"]) == (whose(shared), json.loads(shared.body)["tags"])
    assert ("second", ["3.0"]) == (whose(passed_on), json.loads(passed_on.body)["tags"])
    assert ("first", shared.body) == (whose(stale), stale.body)
    assert ("second", 502) == (whose(remembered), failed.status)


async def test_a_list_of_a_repository_that_has_nothing_in_it_is_that_of_who_has_the_names(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    """As its tags are, from whichever of the members they were taken away."""
    other.push("library/app", "1.0", b"second")
    gateway = await view(gateways, registry, other)
    listed, tag = "/v2/library/app/tags/list", "/v2/library/app/manifests/1.0"
    for there, lacking in ((other, registry), (registry, other)):
        lacking.push("library/app", "1.0", b"of before")
        lacking.delete("library/app", "1.0")
        there.push("library/app", "1.0", b"there")
        clock.advance(61)
        tags, content = await gateway.get(listed), await gateway.get(tag)

        assert ["1.0"] == json.loads(tags.body)["tags"]
        assert whose(content) == whose(tags) == ("first" if there is registry else "second")


@pytest.mark.parametrize("asked", ["1.0", "99.0"])
async def test_a_list_of_a_repository_that_an_earlier_member_got_later_is_that_of_who_has_the_names(
    asked: str, registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    """It is found there by a name that it has, or that it lacks."""
    other.push("library/app", "99.0", b"second")
    gateway = await view(gateways, registry, other)
    before = await gateway.get("/v2/library/app/tags/list")
    registry.push("library/app", "1.0", b"first")
    clock.advance(61)
    answer = await gateway.get(f"/v2/library/app/manifests/{asked}")
    clock.advance(61)
    after = await gateway.get("/v2/library/app/tags/list")
    await other.stop()
    clock.advance(61)

    assert "second" == whose(before)
    assert (200 if asked == "1.0" else 404) == answer.status
    assert ("first", ["1.0"]) == (whose(after), json.loads(after.body)["tags"])
    assert "first" == whose(await gateway.get("/v2/library/app/tags/list"))


async def test_so_are_the_referrers_of_what_it_has(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    """Or a signature that its owner has would not be found, for good."""
    image = other.push("library/app", "1.0", b"the same")
    gateway = await view(gateways, registry, other)
    referrers = f"/v2/library/app/referrers/{digest(image)}"
    before = await gateway.get(referrers)
    registry.push("library/app", "1.0", b"the same")
    subject = descriptor(image, digest(image))
    signature = json.dumps({"schemaVersion": 2, "config": {}, "layers": [], "subject": subject}).encode()
    registry.add_manifest("library/app", signature)
    clock.advance(61)
    await gateway.get(TAG)
    after = await gateway.get(referrers)

    assert ("second", []) == (whose(before), json.loads(before.body)["manifests"])
    assert "first" == whose(after)
    assert [digest(signature)] == [one["digest"] for one in json.loads(after.body)["manifests"]]


async def test_an_earlier_members_outage_does_not_touch_a_list_of_a_repository_that_it_never_had(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    other.push("library/app", "99.0", b"second")
    gateway = await view(gateways, registry, other)
    await gateway.get("/v2/library/app/tags/list")
    await registry.stop()
    clock.advance(61)

    assert "second" == whose(await gateway.get("/v2/library/app/tags/list"))


async def test_nor_is_it_an_outage_where_others_cannot_be_asked(
    registry: Registry, other: Registry, gateways: Gateways, clock: Clock
) -> None:
    registry.push("library/app", "1.0", b"first")
    registry.delete("library/app", "1.0")
    other.on["tags"] = lies.says(500)
    gateway = await view(gateways, registry, other)
    empty = await gateway.get("/v2/library/app/tags/list")

    assert ("first", []) == (whose(empty), json.loads(empty.body)["tags"])
    assert "first" == whose(await gateway.get("/v2/first/library/app/tags/list"))


@pytest.mark.parametrize("asked", ["", "?media_type=helm", "/channels"])
async def test_a_list_of_a_package_is_passed_on_where_it_has_no_release_and_not_where_it_has_another(
    gateways: Gateways, asked: str
) -> None:
    async with running() as first, running() as second:
        for one, release in ((first, "0.9.0"), (second, "1.0.0")):
            one.registry.push("alice/nginx", release, "helm", packed(chart(release)))
            one.registry.push("bob/app", release, "kpm" if one is first else "helm", packed(chart(release)))
            for package in ("alice/nginx", "bob/app"):
                one.registry.set_channel(package, "stable", release)
        for package in ("alice/nginx", "bob/app"):
            first.registry.channels[package].clear()
        first.registry.delete("alice/nginx", "0.9.0", "helm")
        gateway = await gateways.start(
            {name: {"kind": "appr", "url": one.url} for name, one in (("first", first), ("second", second))},
            views={"default": ["first", "second"]},
        )

        assert "second" == whose(await gateway.get(f"/cnr/api/v1/packages/alice/nginx{asked}"))
        assert "first" == whose(await gateway.get(f"/cnr/api/v1/packages/bob/app{asked}"))
