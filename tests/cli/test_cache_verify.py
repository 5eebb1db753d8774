"""`apprproxy cache verify`: what is wrong is found, set aside, said with where it had come from, and fetched again."""

import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected, Where
from apprproxy.settings import Settings
from apprproxy.upkeep.folder import opened
from apprproxy.upkeep.verify import verify as verification
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.upstream import running as app_registry
from tests.cli.operator import Operator
from tests.fakes import lies
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, Got, Running, oci
from tests.fakes.registry import Registry

APP = "library/app"
LAYER = some_bytes(300_000)
LAYER_PATH = f"/v2/hub/{APP}/blobs/{digest(LAYER)}"
MANIFEST_PATH = f"/v2/hub/{APP}/manifests/1.0"


async def pulled(registry: Registry, gateways: Gateways, operator: Operator) -> tuple[Running, bytes]:
    manifest = registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry}, offline=False)
    await running.get(MANIFEST_PATH)
    await running.get(LAYER_PATH)
    await running.at_rest()
    operator.configures({"hub": oci(registry)})
    return running, manifest


async def test_a_cache_that_is_right_is_said_to_be(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    _, manifest = await pulled(registry, gateways, operator)
    ran = await operator.runs("verify")
    (whole,) = await operator.reads("verify")

    assert (0, "") == (ran.returncode, ran.stderr)
    assert ran.stdout.endswith(" MiB/s: nothing is wrong\n")
    assert (len(LAYER) + len(manifest), 0) == (whole["verified"], whole["wrong"])


async def test_a_spoiled_blob_is_set_aside_and_its_origin_named(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    await pulled(registry, gateways, operator)
    operator.spoils(digest(LAYER))
    ran = await operator.runs("verify")

    aside = operator.cache / "quarantine" / digest(LAYER).replace(":", "-")
    assert 1 == ran.returncode
    assert [
        f"wrong bytes: {digest(LAYER)}: its 7 bytes are {digest(b'spoiled')}",
        f"  came from hub/{APP} (owner)",
        f"  moved to {aside}",
    ] == ran.stdout.splitlines()[:3]
    assert (b"spoiled", False) == (aside.read_bytes(), operator.file(digest(LAYER)).exists())


async def test_a_running_gateway_never_serves_what_was_set_aside(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    running, _ = await pulled(registry, gateways, operator)
    operator.spoils(digest(LAYER))
    await operator.runs("verify")
    fetched = registry.count("GET blob")
    got = await running.get(LAYER_PATH)

    assert (200, LAYER) == (got.status, got.body)
    assert fetched + 1 == registry.count("GET blob")


async def test_repair_brings_it_back_and_a_client_gets_it_right(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    running, manifest = await pulled(registry, gateways, operator)
    operator.spoils(digest(LAYER))
    operator.spoils(digest(manifest), b"{}")
    ran = await operator.runs("verify", "--repair")
    held = operator.file(digest(LAYER)).read_bytes(), operator.file(digest(manifest)).read_bytes()
    got, again = await running.get(LAYER_PATH), await operator.runs("verify")

    assert (0, 0) == (ran.returncode, again.returncode), ran.stdout + ran.stderr
    assert (LAYER, manifest) == held
    assert LAYER == got.body
    assert 2 == ran.stdout.count("  repaired")


async def test_every_upstream_that_had_shown_it_shows_it_again(
    registry: Registry, other: Registry, gateways: Gateways, operator: Operator
) -> None:
    """Each brings it for itself: afterwards all of them may be away."""
    (password := operator.path.with_name("password")).write_text("s3cret")
    account = {"auth": {"username": "bot", "password_file": str(password), "share": True}}
    upstreams = {"hub": oci(registry, **account), "other": oci(other)}
    for each in (registry, other):
        each.push(APP, "1.0", LAYER)
    running = await gateways.start(upstreams)
    paths = [LAYER_PATH, LAYER_PATH.replace("hub", "other")]
    for path in paths:
        await running.get(path)
    await running.at_rest()
    operator.configures(upstreams)
    operator.spoils(digest(LAYER))
    ran = await operator.runs("verify", "--repair")
    for each in (registry, other):
        await each.stop()
    got = [await running.get(path) for path in paths]

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert [(200, LAYER)] * 2 == [(one.status, one.body) for one in got]


async def test_what_was_set_aside_or_lost_before_is_fetched_by_a_later_repair(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    _, manifest = await pulled(registry, gateways, operator)
    operator.spoils(digest(LAYER))
    operator.file(digest(manifest)).unlink()
    first, second = await operator.runs("verify"), await operator.runs("verify")
    repaired, again = await operator.runs("verify", "--repair"), await operator.runs("verify")

    assert (1, 0, 0, 0) == (first.returncode, second.returncode, repaired.returncode, again.returncode)
    assert first.stdout.endswith("`apprproxy cache verify --repair` fetches them again\n")
    assert "2 found before have not come back\n" in second.stdout
    assert 2 == repaired.stdout.count("found before: "), repaired.stdout
    assert f"  came from hub/{APP} (owner)" in repaired.stdout
    assert (LAYER, manifest) == (
        operator.file(digest(LAYER)).read_bytes(),
        operator.file(digest(manifest)).read_bytes(),
    )
    assert again.stdout.endswith("nothing is wrong\n")


async def test_what_a_verification_found_that_was_broken_off_is_fetched_by_a_later_repair(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    """Killed after it had set something aside, and before it could say so."""
    running, manifest = await pulled(registry, gateways, operator)
    await running.close()
    operator.spoils(digest(LAYER))
    operator.file(digest(manifest)).unlink()
    with opened(Settings.model_validate({"cache": {"directory": operator.cache}})) as folder:
        found = len(list(verification(folder, lambda _: None)))
    with (operator.cache / "unrepaired.lines").open("a") as lines:
        lines.write('{"fault":"lo')
    said, repaired = await operator.runs("verify"), await operator.runs("verify", "--repair")

    assert 2 == found
    assert "2 found before have not come back\n" in said.stdout
    assert f"  came from hub/{APP} (owner)" in repaired.stdout
    assert (LAYER, manifest) == (
        operator.file(digest(LAYER)).read_bytes(),
        operator.file(digest(manifest)).read_bytes(),
    )
    assert not (operator.cache / "unrepaired.lines").exists()


async def test_what_a_client_fetched_meanwhile_is_not_fetched_again(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    running, _ = await pulled(registry, gateways, operator)
    operator.spoils(digest(LAYER))
    await operator.runs("verify")
    await running.get(LAYER_PATH)
    await running.at_rest()
    asked = registry.count("GET blob")
    ran = await operator.runs("verify", "--repair")

    assert (0, asked) == (ran.returncode, registry.count("GET blob"))
    assert ran.stdout.endswith("nothing is wrong\n")


async def test_what_a_pinned_name_lacks_is_told(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    await pulled(registry, gateways, operator)
    pinned = await operator.runs("pin", f"hub/{APP}:1.0")
    ran, scripted = await operator.runs("verify"), await operator.runs("verify", "--json")

    assert (1, 1, 1) == (pinned.returncode, ran.returncode, scripted.returncode)
    assert (
        f"hub/{APP}:1.0 is pinned and lacks 1: `apprproxy cache pin --fetch hub/{APP}:1.0` fetches them\n" in ran.stdout
    )
    assert {f"hub/{APP}:1.0": 1} == json.loads(scripted.stdout)["pins_missing"]


async def test_what_cannot_be_had_again_is_told_with_the_reason(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    await pulled(registry, gateways, operator)
    operator.spoils(digest(LAYER))
    await registry.stop()
    ran = await operator.runs("verify", "--repair", "--json")
    found, whole = map(json.loads, ran.stdout.splitlines())

    assert (1, 1) == (ran.returncode, whole["wrong"])
    assert (False, "wrong bytes", digest(LAYER)) == (found["repaired"], found["fault"], found["key"])
    assert "hub" in found["not_repaired"]
    assert [("hub", APP, "owner")] == [(one["upstream"], one["repository"], one["source"]) for one in found["from"]]


async def test_on_a_site_without_a_way_out_it_is_said_to_fetch_elsewhere(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    _, manifest = await pulled(registry, gateways, operator)
    operator.configures({"hub": oci(registry)}, offline=True)
    unpinned = await operator.runs("verify")
    await operator.runs("pin", f"hub/{APP}:1.0")
    operator.spoils(digest(manifest))
    ran, pinned = await operator.runs("verify", "--repair"), await operator.runs("pin")
    elsewhere = (
        "this gateway is offline: fetch it on the connected side, with the url and account that each upstream has "
        "here, and carry the cache over again"
    )

    assert (
        "no name is pinned here, so that what the site needs was not looked for; pins are carried in index.db\n"
        in unpinned.stdout
    )
    assert (1, f"{elsewhere}\n") == (pinned.returncode, pinned.stderr)
    assert f"  named by hub: {APP}:1.0\n" in ran.stdout
    assert [
        f"hub/{APP}:1.0 is pinned and lacks 2: `apprproxy cache pin` says what, and why",
        elsewhere,
    ] == ran.stdout.splitlines()[-2:]
    assert not [said for said in ("--repair`", "--fetch") if said in ran.stdout + pinned.stdout]


async def test_that_its_owner_has_it_does_not_count_as_having_it_again(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry})
    await running.head(LAYER_PATH)
    await running.get(LAYER_PATH)
    await running.at_rest()
    operator.configures({"hub": oci(registry)})
    operator.spoils(digest(LAYER))
    registry.on["GET blob"] = lies.says(500)
    ran = await operator.runs("verify", "--repair")

    assert 1 == ran.returncode
    assert "  not repaired: hub: answered 500" in ran.stdout


async def test_when_it_was_last_found_right_is_told(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    running, _ = await pulled(registry, gateways, operator)
    path = operator.file(digest(LAYER))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    asked = f"/api/provenance?name=hub/{APP}:1.0"

    def verified(told: Got) -> str:
        (part,) = (one for one in json.loads(told.body)["parts"] if one["digest"] == digest(LAYER))
        return str(part["verified"])

    before = verified(await running.get(asked))
    await operator.runs("verify")
    after = verified(await running.get(asked))

    assert "2023-11-14T22:13:20Z" == before
    assert before < after


async def test_a_blob_that_was_lost_is_fetched_again(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    await pulled(registry, gateways, operator)
    operator.file(digest(LAYER)).unlink()
    ran = await operator.runs("verify", "--repair")

    assert 0 == ran.returncode
    assert f"lost: {digest(LAYER)}" in ran.stdout
    assert LAYER == operator.file(digest(LAYER)).read_bytes()


async def test_files_that_the_index_does_not_know_are_counted_and_what_is_no_blob_is_set_aside(
    operator: Operator,
) -> None:
    operator.configures({})
    operator.begins()
    await operator.runs("stats")
    operator.file(digest(LAYER)).write_bytes(LAYER)
    (operator.cache / "blobs" / "sha256" / "notes.txt").write_text("mine")
    (operator.cache / "blobs" / "sha256" / Digest.of(b"elsewhere").hex).symlink_to("/dev/zero")
    ran = await operator.runs("verify")
    (stats,) = await operator.reads("stats")

    assert 0 == ran.returncode, ran.stdout
    assert f"uncounted: {digest(LAYER)}" in ran.stdout
    assert 2 == ran.stdout.count("no blob: ")
    assert (1, len(LAYER), 2) == (stats["blobs"], stats["size"], stats["quarantined"]["number"])


async def test_a_link_to_another_package_is_set_aside_and_repaired(gateways: Gateways, operator: Operator) -> None:
    one, two = chart("0.1.0"), chart("0.2.0")
    async with app_registry() as quay:
        upstreams = {"quay": {"kind": "appr", "url": quay.url}}
        for release, tar in (("0.1.0", one), ("0.2.0", two)):
            quay.registry.push("alice/nginx", release, "helm", packed(tar))
        running = await gateways.start(upstreams)
        for tar in (one, two):
            got = await running.get(f"/quay/cnr/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(tar).hex}")
            assert 200 == got.status
        await running.at_rest()
        operator.configures(upstreams)
        links = operator.cache / "unpacked" / "sha256"
        (links / digest_of(one).hex).unlink()
        (links / digest_of(one).hex).symlink_to(os.readlink(links / digest_of(two).hex))
        ran = await operator.runs("verify", "--repair")

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert f"wrong link: unpacked:{digest_of(one)}" in ran.stdout
    assert os.readlink(links / digest_of(one).hex) != os.readlink(links / digest_of(two).hex)


@pytest.mark.parametrize("how", ["followed", "lost"])
async def test_links_that_were_not_carried_are_made_again(how: str, gateways: Gateways, operator: Operator) -> None:
    tar = chart("0.1.0")
    async with carried_package(operator, tar) as upstreams:
        link = operator.cache / "unpacked" / "sha256" / digest_of(tar).hex
        package = link.read_bytes()
        link.unlink()
        if how == "followed":
            link.write_bytes(package)
        operator.configures(upstreams, offline=True)
        pinned, ran, again = [await operator.runs(command) for command in ("pin", "verify", "verify")]
        site = await gateways.start(upstreams, offline=True)
        got = await site.get("/quay/cnr/api/v1/packages/alice/nginx/0.1.0/helm/pull")

    assert (1, 0, 0) == (pinned.returncode, ran.returncode, again.returncode), ran.stdout + ran.stderr
    assert "`apprproxy cache verify` makes links again" in pinned.stdout
    assert f"lost link: unpacked:{digest_of(tar)}: " in ran.stdout
    assert ": 1 findings, 0 of them not repaired\n" in ran.stdout
    assert again.stdout.endswith("nothing is wrong\n")
    assert (200, package) == (got.status, got.body)


async def test_a_link_of_which_nobody_knows_where_it_led_is_told(operator: Operator) -> None:
    """Followed, and the index not carried either."""
    tar = chart("0.1.0")
    async with carried_package(operator, tar) as upstreams:
        link = operator.cache / "unpacked" / "sha256" / digest_of(tar).hex
        package = link.read_bytes()
        link.unlink()
        link.write_bytes(package)
        for file in operator.cache.glob("index.db*"):
            file.unlink()
        operator.configures(upstreams, offline=True)
        ran = await operator.runs("verify")

    assert 1 == ran.returncode, ran.stdout + ran.stderr
    assert f"wrong link: unpacked:{digest_of(tar)}: it was no link to a package" in ran.stdout


async def test_a_pinned_name_that_was_not_carried_is_told(registry: Registry, operator: Operator) -> None:
    registry.push(APP, "1.0", LAYER)
    registry.add_blob(APP, b"{}")
    operator.configures({"hub": oci(registry)})
    await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")
    shutil.rmtree(operator.cache / "names")
    operator.configures({"hub": oci(registry)}, offline=True)
    pinned, ran = await operator.runs("pin"), await operator.runs("verify")

    assert (1, 1) == (pinned.returncode, ran.returncode), ran.stdout
    assert f"  missing hub/{APP}:1.0: no name here leads to it" in pinned.stdout
    assert f"hub/{APP}:1.0 is pinned and lacks 1" in ran.stdout


@asynccontextmanager
async def carried_package(operator: Operator, tar: bytes) -> AsyncIterator[dict[str, Any]]:
    """Pinned and fetched; yields the upstreams."""
    async with app_registry() as quay:
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(tar))
        upstreams: dict[str, Any] = {"quay": {"kind": "appr", "url": quay.url}}
        operator.configures(upstreams)
        fetched = await operator.runs("pin", "--fetch", "quay/alice/nginx@0.1.0/helm")
        assert 0 == fetched.returncode, fetched.stdout + fetched.stderr
        yield upstreams


async def test_names_of_repositories_paint_no_terminal(operator: Operator, tmp_path: Path) -> None:
    operator.configures({})
    operator.begins()
    settings = Settings.model_validate({"cache": {"directory": operator.cache}})
    with opened(settings) as folder:
        hostile = Where("hub-0123456789ab", "evil\x1b[2J\nforged: line")
        folder.ledger.keep("x.part", Digest.of(LAYER), len(LAYER), None)
        folder.ledger.membership.shown(hostile, Expected(Digest.of(LAYER)).key, "owner\x07")
    listed, verified = await operator.runs("list"), await operator.runs("verify")

    assert (0, 1) == (listed.returncode, len(listed.stdout.splitlines()))
    assert not {"\x1b", "\x07"} & set(listed.stdout + verified.stdout)
    assert not any(line.startswith("forged") for line in (listed.stdout + verified.stdout).splitlines())
