"""`apprproxy cache pin` and `unpin`: what is kept, what is missing, and that it is fetched."""

import asyncio
import json
import os
import pty
import sqlite3
import sys
from contextlib import closing

import pytest

from apprproxy.core.model import MIB, FirstSeen
from apprproxy.store.directory.runs import Run
from apprproxy.upkeep.pins import fetch
from apprproxy.upkeep.recovery import recover
from apprproxy.upkeep.title import parse
from apprproxy.upkeep.told import unheard
from tests.appregistry.archives import chart, digest_of, packed, unpacked
from tests.appregistry.upstream import running as app_registry
from tests.cli.operator import Operator
from tests.fakes import lies
from tests.fakes.clock import Gate
from tests.fakes.command import ROOT, not_ours
from tests.fakes.content import IMAGE, INDEX, digest, manifest, some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry, descriptor

APP = "library/app"
ONE, TWO = some_bytes(50_000, "one"), some_bytes(60_000, "two")


def multi(registry: Registry) -> bytes:
    """An index of two images."""
    registry.add_blob(APP, b"{}")
    images = [registry.push(APP, name, layer) for name, layer in (("one", ONE), ("two", TWO))]
    entries = [descriptor(image, digest(image)) for image in images]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    registry.add_manifest(APP, index, tag="all")
    return index


async def test_a_pin_says_what_is_held_and_what_is_missing(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    manifest = registry.push(APP, "1.0", ONE)
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/manifests/1.0")
    await running.at_rest()
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", f"hub/{APP}:1.0")
    again = await operator.runs("pin", "--json")
    listed = json.loads(again.stdout)

    assert (1, "`apprproxy cache pin --fetch` fetches what is missing\n") == (ran.returncode, ran.stderr)
    assert 1 == again.returncode
    assert f"hub/{APP}:1.0  {digest(manifest)}  1 held, 2 missing" == ran.stdout.splitlines()[0]
    assert (f"hub/{APP}:1.0", {digest(ONE), digest(b"{}")}) == (listed["name"], set(listed["missing"]))


async def test_all_that_an_index_names_is_fetched(registry: Registry, operator: Operator) -> None:
    index = multi(registry)
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", f"hub/{APP}:all")
    again = await operator.runs("verify")
    (pin,) = await operator.reads("pin")

    assert (0, 0) == (ran.returncode, again.returncode), ran.stdout + ran.stderr
    assert (digest(index), 6, {}) == (pin["root"], pin["held"], pin["missing"])
    assert (ONE, TWO) == (operator.file(digest(ONE)).read_bytes(), operator.file(digest(TWO)).read_bytes())


async def test_a_stranger_s_index_that_calls_a_layer_a_manifest_keeps_no_pin_from_being_fetched(
    registry: Registry, other: Registry, operator: Operator, gateways: Gateways
) -> None:
    registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    entries = [{"mediaType": IMAGE, "digest": digest(one), "size": len(one)} for one in (ONE, b"{}")]
    trap = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    other.add_manifest(APP, trap, tag="trap")
    upstreams = {"hub": oci(registry), "far": oci(other)}
    running = await gateways.start(upstreams)
    trapped = await running.get(f"/v2/far/{APP}/manifests/trap")
    await running.at_rest()
    operator.configures(upstreams)
    ran = await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")

    assert (200, 0) == (trapped.status, ran.returncode), ran.stdout + ran.stderr


async def test_a_manifest_is_pinned_by_its_digest(registry: Registry, operator: Operator) -> None:
    index = multi(registry)
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", f"hub/{APP}@{digest(index)}")

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert ran.stdout.endswith("6 held, 0 missing\n")


async def test_a_package_is_fetched_by_the_tar_inside(operator: Operator) -> None:
    tar = chart("0.1.0")
    async with app_registry() as quay:
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(tar))
        operator.configures({"quay": {"kind": "appr", "url": quay.url}})
        ran = await operator.runs("pin", "--fetch", "quay/alice/nginx@0.1.0/helm")

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert ran.stdout.endswith("2 held, 0 missing\n")
    assert (operator.cache / "unpacked" / "sha256" / digest_of(tar).hex).exists()


async def test_what_could_not_be_fetched_is_told_and_the_rest_is_kept(registry: Registry, operator: Operator) -> None:
    registry.push(APP, "1.0", ONE)  # whose configuration the registry does not have
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", f"hub/{APP}:1.0", f"hub/{APP}:9")

    assert 1 == ran.returncode
    assert "2 held, 1 missing" in ran.stdout
    assert f"  missing {digest(b'{}')}: hub: says BLOB_UNKNOWN" in ran.stdout
    assert f"error: hub/{APP}:9: hub: says MANIFEST_UNKNOWN" in ran.stderr


async def test_an_upstream_that_sends_nothing_holds_up_its_own_names_and_no_word_on_others(
    registry: Registry, other: Registry, operator: Operator
) -> None:
    gate = Gate()
    for one in (registry, other):
        one.push(APP, "1.0", ONE)
        one.add_blob(APP, b"{}")
    registry.on["blob"] = lies.waiting_for(gate)
    operator.configures({"hub": oci(registry), "far": oci(other)})
    words = ("cache", "pin", "--config", str(operator.path), "--fetch", f"hub/{APP}:1.0", f"far/{APP}:1.0")
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "apprproxy", *words, cwd=ROOT, env=not_ours(), stdout=asyncio.subprocess.PIPE
    )
    assert running.stdout is not None
    await gate.reached()
    before = await running.stdout.readline()
    gate.open()
    after, _ = await running.communicate()

    assert 0 == running.returncode
    assert f"far/{APP}:1.0" == before.split()[0].decode()
    assert f"hub/{APP}:1.0" == after.split()[0].decode()


async def test_at_a_terminal_what_is_told_of_a_name_stands_by_itself(registry: Registry, operator: Operator) -> None:
    for name in ("1.0", "2.0"):
        registry.push(APP, name, ONE)
    registry.add_blob(APP, b"{}")
    operator.configures({"hub": oci(registry)})
    ours, theirs = pty.openpty()
    try:
        ran = await operator.runs("pin", "--fetch", f"hub/{APP}:9", f"hub/{APP}:1.0", f"hub/{APP}:2.0", stderr=theirs)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert [f"hub/{APP}:1.0", f"hub/{APP}:2.0"] == [line.split()[0] for line in ran.stdout.splitlines()]
    assert f"error: hub/{APP}:9: hub: says MANIFEST_UNKNOWN" in shown
    assert "fetching" not in shown.partition("error:")[0].rpartition("\x1b[2K")[2]


@pytest.mark.parametrize("words", [("pin",), ("pin", "--fetch")])
async def test_a_cache_without_pins_is_told_from_one_that_lacks_nothing(
    words: tuple[str, ...], operator: Operator
) -> None:
    operator.configures({"hub": {"kind": "oci", "url": "http://127.0.0.1:1"}})
    operator.begins()
    ran = await operator.runs(*words)

    assert (0, "", "no name is pinned; pins are carried in index.db\n") == (ran.returncode, ran.stdout, ran.stderr)


async def test_a_name_that_is_not_known_is_not_pinned(operator: Operator) -> None:
    operator.configures({"hub": {"kind": "oci", "url": "http://127.0.0.1:1"}})
    operator.begins()
    ran = await operator.runs("pin", "hub/nobody:1")

    assert 1 == ran.returncode
    assert "error: hub/nobody:1: nothing is known of it here; --fetch asks its upstream\n" == ran.stderr


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hub/app", "hub/app: 'app' has no tag: write REPOSITORY:TAG"),
        (
            "app:1.0",
            "app:1.0: a name begins with its upstream's: UPSTREAM/REPOSITORY:TAG, UPSTREAM/REPOSITORY@DIGEST or",
        ),
        ("127.0.0.1:8080/hub/app:1.0", "not with a scheme or the gateway's address: UPSTREAM/REPOSITORY:TAG"),
        ("docker://hub/app:1.0", "not with a scheme or the gateway's address: UPSTREAM/REPOSITORY:TAG"),
    ],
)
async def test_of_a_name_that_is_incomplete_it_is_told_what_is_missing(
    name: str, said: str, operator: Operator
) -> None:
    operator.configures({})
    ran = await operator.runs("pin", name)

    assert 2 == ran.returncode
    assert said in ran.stderr


@pytest.mark.parametrize("words", [("pin",), ("pin", "--fetch"), ("purge",)])
async def test_of_a_channel_it_is_told_what_to_write(words: tuple[str, ...], operator: Operator) -> None:
    operator.configures({"old": {"kind": "appr", "url": "http://127.0.0.1:1"}})
    operator.begins()
    ran = await operator.runs(*words, "old/alice/nginx:stable")

    assert 2 == ran.returncode
    assert "a channel only leads to a release: write old/alice/nginx@RELEASE/FORMAT" in ran.stderr


async def test_a_mistyped_upstream_is_named(operator: Operator) -> None:
    operator.configures({"hub": {"kind": "oci", "url": "http://127.0.0.1:1"}})
    operator.begins()
    ran = await operator.runs("pin", "hubb/nobody:1")

    assert (1, "error: hubb/nobody:1: no upstream is called 'hubb'\n") == (ran.returncode, ran.stderr)


async def test_a_pin_of_an_upstream_that_is_not_configured_is_told(operator: Operator) -> None:
    operator.configures({"hubb": {"kind": "oci", "url": "http://127.0.0.1:1"}})
    ran = await operator.runs("pin", "--fetch", "hub/nobody:1")

    assert 1 == ran.returncode
    assert "error: hub/nobody:1: no upstream 'hub' of kind oci is configured; there is hubb\n" == ran.stderr


async def test_what_is_unpinned_may_go_again(registry: Registry, operator: Operator) -> None:
    multi(registry)
    operator.configures({"hub": oci(registry)})
    await operator.runs("pin", "--fetch", f"hub/{APP}:one")
    ran = await operator.runs("unpin", f"hub/{APP}:one")
    again = await operator.runs("unpin", f"hub/{APP}:one")
    scripted = await operator.runs("unpin", "--json", f"hub/{APP}:one")
    (stats,) = await operator.reads("stats")

    assert (0, 1, 1) == (ran.returncode, again.returncode, scripted.returncode)
    assert f"error: hub/{APP}:one is not pinned\n" == again.stderr
    assert {"name": f"hub/{APP}:one", "unpinned": False} == json.loads(scripted.stdout)
    assert (0, 0) == (stats["pins"], stats["pinned"])


async def test_beside_a_running_gateway_what_is_pinned_stays_and_what_is_unpinned_goes(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    layers = [some_bytes(25 * MIB, f"{number} ") for number in range(4)]
    for number, layer in enumerate(layers):
        registry.push(APP, str(number), layer)
    running = await gateways.start({"hub": registry}, max_size="64MiB")
    operator.configures({"hub": oci(registry)}, max_size="64MiB")

    async def pull(number: int) -> None:
        for path in (f"manifests/{number}", f"blobs/{digest(layers[number])}"):
            assert 200 == (await running.get(f"/v2/hub/{APP}/{path}")).status
        await running.at_rest()
        gateways.clock.advance(10)

    def held() -> list[int]:
        return [number for number, layer in enumerate(layers) if digest(layer) in running.blobs]

    await pull(0)
    await operator.runs("pin", f"hub/{APP}:0")
    await pull(1)
    await pull(2)
    pinned, listed = held(), await operator.reads("list", "--larger-than", "1MiB")
    await operator.runs("unpin", f"hub/{APP}:0")
    await pull(3)

    assert [0, 2] == pinned
    assert {digest(layers[0]): True, digest(layers[2]): False} == {one["digest"]: one["pinned"] for one in listed}
    assert [2, 3] == held()


async def test_all_the_names_of_a_release_that_was_accepted_are_asked_again(
    operator: Operator, gateways: Gateways
) -> None:
    """Its formats are told under a name of their own, which offline would go on telling the first digest."""
    path, title = "/quay/cnr/api/v1/packages/alice/nginx/0.1.0", "alice/nginx@0.1.0/helm"
    now = chart("0.1.0", "moved")
    async with app_registry() as quay:
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(chart("0.1.0")))
        upstreams = {"quay": {"kind": "appr", "url": quay.url}}
        operator.configures(upstreams)
        running = await gateways.start(upstreams)
        await running.get(path)
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(now))
        await running.at_rest()
        await asyncio.to_thread(
            running.app.names.accept, "quay", "alice/nginx", title, FirstSeen(digest_of(now), gateways.clock())
        )
        await running.close()
        ran = await operator.runs("pin", "--fetch", f"quay/{title}")
    site = await gateways.start(upstreams, offline=True)
    formats, pulled = await site.get(path), await site.get(f"{path}/helm/pull")

    assert 0 == ran.returncode, ran.stdout + ran.stderr
    assert [digest_of(now).hex] == [one["content"]["digest"] for one in json.loads(formats.body)]
    assert now == unpacked(pulled.body)


async def test_of_a_name_that_moved_it_is_told_by_whom_fetches_it(registry: Registry, operator: Operator) -> None:
    """A gateway that comes after counts it no more: the move is known by then."""
    registry.add_blob(APP, b"{}")
    first = registry.push(APP, "1.0", ONE)
    operator.configures({"hub": oci(registry, moved="refuse", fresh_for="0s")})
    before = await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")
    now = registry.push(APP, "1.0", TWO)
    after = await operator.runs("pin", "--fetch")

    assert (0, "") == (before.returncode, before.stderr)
    assert 0 == after.returncode
    assert after.stdout.startswith(f"hub/{APP}:1.0  {digest(first)}  3 held")
    assert f"warning: hub/{APP}:1.0 moved to {digest(now)}, and its first digest stands" in after.stderr


async def test_a_pin_whose_name_is_none_is_told_and_keeps_nothing_from_the_others(
    registry: Registry, operator: Operator
) -> None:
    """As the index has it that was damaged."""
    registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    operator.configures({"hub": oci(registry)})
    await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")
    with closing(sqlite3.connect(operator.cache / "index.db")) as db, db:
        db.execute("INSERT INTO pins (name, root) VALUES ('u/a b:c?', ?)", (digest(ONE),))
    ran, fetched, verified = [await operator.runs(*words) for words in (["pin"], ["pin", "--fetch"], ["verify"])]
    unpinned = await operator.runs("unpin", "u/a b:c?")

    assert (1, 0, 0) == (ran.returncode, fetched.returncode, unpinned.returncode), ran.stderr + fetched.stderr
    assert "error: u/a b:c?: nobody can be asked for such a name" in ran.stderr
    assert f"hub/{APP}:1.0" in ran.stdout
    assert f"hub/{APP}:1.0" in fetched.stdout
    assert "Traceback" not in verified.stderr + verified.stdout


async def test_a_pin_is_fetched_again_whose_index_was_lost(registry: Registry, operator: Operator) -> None:
    """The names are as fresh as before, and say what the repository shows."""
    multi(registry)
    operator.configures({"hub": oci(registry)})
    first = await operator.runs("pin", "--fetch", f"hub/{APP}:all")
    for path in operator.cache.glob("index.db*"):
        path.unlink()
    again = await operator.runs("pin", "--fetch", f"hub/{APP}:all")

    assert (0, 0) == (first.returncode, again.returncode), again.stdout + again.stderr
    assert again.stdout.endswith(" 6 held, 0 missing\n")


# --- what the cache holds because of somebody else


async def test_what_came_by_another_upstream_is_asked_for_so_that_it_may_be_shown_offline(
    registry: Registry, other: Registry, operator: Operator, gateways: Gateways
) -> None:
    """A layer in common, as base images are: held is not enough, for who may see it must be known as well."""
    for one, tag in ((registry, "first"), (other, "second")):
        one.push(APP, tag, ONE)
        one.add_blob(APP, b"{}")
    upstreams = {"hub": oci(registry), "far": oci(other)}
    operator.configures(upstreams)
    before = await operator.runs("pin", "--fetch", f"hub/{APP}:first")
    running = await gateways.start(upstreams)  # tells anew who may see what, where nobody has yet
    await running.at_rest()
    await running.close()
    ran = await operator.runs("pin", "--fetch", f"far/{APP}:second")
    offline = await gateways.start(upstreams, offline=True)
    pulled = [
        (await offline.get(f"/v2/far/{APP}/{path}")).status
        for path in ("manifests/second", f"blobs/{digest(ONE)}", f"blobs/{digest(b'{}')}")
    ]

    assert (0, 0) == (before.returncode, ran.returncode), ran.stdout + ran.stderr
    assert [200] * 3 == pulled


async def test_what_may_not_be_shown_in_the_name_of_a_pin_is_missing(
    registry: Registry, other: Registry, operator: Operator, gateways: Gateways
) -> None:
    manifest = other.push(APP, "second", ONE)
    registry.push(APP, "first", ONE)
    registry.add_blob(APP, b"{}")
    upstreams = {"hub": oci(registry), "far": oci(other)}
    operator.configures(upstreams)
    await operator.runs("pin", "--fetch", f"hub/{APP}:first")
    running = await gateways.start(upstreams)
    await running.get(f"/v2/far/{APP}/manifests/second")
    await running.at_rest()
    ran = await operator.runs("pin", f"far/{APP}:second")
    verified = await operator.runs("verify")

    assert (1, 1) == (ran.returncode, verified.returncode), ran.stdout + verified.stdout
    assert f"far/{APP}:second  {digest(manifest)}  1 held, 2 missing" == ran.stdout.splitlines()[0]
    assert f"  missing {digest(ONE)}: it is held, and not known to be in this repository" in ran.stdout.splitlines()


@pytest.mark.parametrize("how", ["half a file", "a link"])
async def test_what_a_gateway_takes_for_a_miss_is_missing(
    how: str, registry: Registry, operator: Operator, gateways: Gateways
) -> None:
    """As a copy leaves it that was broken off, once a gateway has told anew who may see what."""
    registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    operator.configures({"hub": oci(registry)})
    await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")
    running = await gateways.start({"hub": registry})
    await recover(running.app)
    await running.close()
    file, elsewhere = operator.file(digest(ONE)), operator.cache.parent / "elsewhere"
    if how == "a link":
        file.symlink_to(file.rename(elsewhere))
    else:
        os.truncate(file, 1000)
    ran = await operator.runs("pin")
    fetched = await operator.runs("pin", "--fetch")
    again = await operator.runs("pin")

    assert [1, 0, 0] == [ran.returncode, fetched.returncode, again.returncode], fetched.stdout + fetched.stderr
    assert f"missing {digest(ONE)}: the index has it, and its file is not there, or not whole" in ran.stdout


@pytest.mark.parametrize("beside", [True, False], ids=["beside a gateway", "alone"])
async def test_a_command_that_was_told_a_lower_cap_than_the_gateway_evicts_nothing_for_it(
    registry: Registry, gateways: Gateways, operator: Operator, beside: bool
) -> None:
    """As where the gateway has it from its environment, and the operator's shell has not."""
    layers = [some_bytes(25 * MIB, f"{number} ") for number in range(4)]
    registry.add_blob(APP, b"{}")
    registry.push(APP, "1.0", b"small")
    running = await gateways.start({"hub": registry})
    for layer in layers:
        assert 200 == (await running.get(f"/v2/hub/{APP}/blobs/{registry.add_blob(APP, layer)}")).status
    await running.at_rest()
    operator.configures({"hub": oci(registry)}, max_size="64MiB")
    run = Run(running.cache / "runs", 20 * 1024 * MIB, gateways.clock)
    if not beside:
        run.close()
    ran = await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")
    kept = sum(digest(layer) in running.blobs for layer in layers)

    assert 0 == ran.returncode, ran
    assert (4 if beside else 3) == kept  # what it brings makes room for itself
    assert digest(b"small") in running.blobs


async def test_what_came_by_another_account_of_its_upstream_is_said_to_have(
    registry: Registry, operator: Operator, gateways: Gateways
) -> None:
    """As on a site whose configuration has left out the account that nobody can use there."""
    registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    running = await gateways.start({"hub": registry})  # tells anew who may see what, where nobody has yet
    await running.at_rest()
    await running.close()
    (password := operator.path.with_name("password")).write_text("s3cret")
    operator.configures({"hub": oci(registry, auth={"username": "bot", "password_file": str(password)})})
    fetched = await operator.runs("pin", "--fetch", f"hub/{APP}:1.0")
    operator.configures({"hub": oci(registry)}, offline=True)
    ran = await operator.runs("pin")

    assert (0, 1) == (fetched.returncode, ran.returncode), fetched.stdout + fetched.stderr
    assert 3 == ran.stdout.count(": it is held, and came by another url or account than the configuration has now for")


@pytest.mark.parametrize("let_in", [True, False])
async def test_a_name_that_is_remembered_of_another_account_is_asked_anew_and_shown_if_its_owner_sends_it(
    let_in: bool, registry: Registry, gateways: Gateways
) -> None:
    image = registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    before = await gateways.start({"hub": oci(registry, auth={"username": "bot", "password": "s3cret"})})
    for path in ("manifests/1.0", f"blobs/{digest(ONE)}", f"blobs/{digest(b'{}')}"):
        assert 200 == (await before.get(f"/v2/hub/{APP}/{path}")).status
    await before.close()
    gateways.clock.advance(10)
    if not let_in:
        registry.on["tag"] = registry.on["manifest"] = registry.on["blob"] = lies.says(401)
    connected = await gateways.start({"hub": registry})
    pinned = await fetch(connected.app, parse(f"hub/{APP}:1.0"), unheard)
    await connected.close()
    offline = await gateways.start({"hub": registry}, offline=True)
    by_digest = await offline.get(f"/v2/hub/{APP}/manifests/{digest(image)}")

    assert (3 if let_in else 0, 200 if let_in else 504) == (pinned.held, by_digest.status)


# --- what refers to it


def attached(registry: Registry, subject: bytes, layer: bytes, tag: str = "") -> bytes:
    """A manifest that refers to another; by a tag of cosign's it does not say so."""
    registry.add_blob(APP, layer)
    referring = json.loads(manifest(layer))
    if not tag:
        referring |= {"subject": descriptor(subject, digest(subject)), "artifactType": "application/x-signature"}
    content = json.dumps(referring).encode()
    registry.add_manifest(APP, content, tag=tag)
    return content


def listed(*manifests: bytes) -> bytes:
    entries = [descriptor(one, digest(one)) for one in manifests]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


@pytest.mark.parametrize("by", ["end point", "fallback tag"])
async def test_what_refers_to_a_pin_is_served_where_nobody_can_be_asked(
    by: str, registry: Registry, operator: Operator, gateways: Gateways
) -> None:
    index = multi(registry)
    image = registry.push(APP, "one", ONE)
    sbom = attached(registry, index, b"sbom")
    signed = attached(registry, sbom, b"signature of the sbom")
    signature = attached(registry, image, b"signature of one image")
    cosign = f"sha256-{digest(index).removeprefix('sha256:')}.sig"
    attestation = attached(registry, index, b"by a tag", cosign)
    if by == "fallback tag":
        registry.offers.discard("referrers")
        for subject, one in ((index, sbom), (sbom, signed), (image, signature)):
            registry.add_manifest(APP, listed(one), tag=digest(subject).replace(":", "-"))
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:all")
    again = await operator.runs("pin", "--fetch", "--referrers")
    pins, verified = await operator.reads("pin"), await operator.runs("verify")
    await registry.stop()
    site = await gateways.start({"hub": oci(registry)}, offline=True)
    asked = [f"manifests/{digest(one)}" for one in (sbom, signed, signature, attestation)]
    asked += [f"blobs/{digest(one)}" for one in (b"sbom", b"signature of the sbom", b"signature of one image")]
    asked += [f"referrers/{digest(one)}" for one in (index, image, sbom, signed)] + [f"manifests/{cosign}"]
    got = [await site.get(f"/v2/hub/{APP}/{path}") for path in asked]

    assert (0, 0, 0) == (ran.returncode, again.returncode, verified.returncode), ran.stdout + again.stdout + ran.stderr
    assert {
        f"hub/{APP}:all",
        f"hub/{APP}:{cosign}",
        *(f"hub/{APP}@{digest(one)}/referrers" for one in (index, image, sbom)),
    } == {pin["name"] for pin in pins}
    assert sorted(ran.stdout.splitlines()) == sorted(again.stdout.splitlines())
    assert [200] * len(asked) == [one.status for one in got]
    assert digest(sbom) in got[7].body.decode()


async def test_a_pin_to_which_nothing_refers_is_one_pin(registry: Registry, operator: Operator) -> None:
    registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:1.0")

    assert (0, 1) == (ran.returncode, len(ran.stdout.splitlines())), ran.stdout + ran.stderr


async def test_what_could_not_be_asked_is_told(registry: Registry, operator: Operator) -> None:
    registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    registry.on["referrers"] = lies.says(500)
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:1.0")
    alone = await operator.runs("pin", "--referrers", f"hub/{APP}:1.0")

    assert (1, 2) == (ran.returncode, alone.returncode)
    assert "/referrers: hub: answered 500" in ran.stderr
    assert "--referrers asks their upstream: give --fetch as well" in alone.stderr


@pytest.mark.parametrize("tag", ["", ".sig"])
async def test_no_more_is_brought_because_it_refers_to_a_name_than_is_asked_about(
    tag: str, registry: Registry, operator: Operator
) -> None:
    image = registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    registry.offers.discard("referrers")
    many = [manifest(note=str(number)) for number in range(1001)]
    for one in many:
        registry.add_manifest(APP, one)
    registry.add_manifest(APP, listed(*many), tag=digest(image).replace(":", "-") + tag)
    attached(registry, image, b"sbom", tag=digest(image).replace(":", "-") + ".sbom")
    operator.configures({"hub": oci(registry)})
    ran = await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:1.0")
    again = await operator.runs("pin", "--fetch")

    assert (1, 0) == (ran.returncode, again.returncode), again.stdout + again.stderr
    assert "and at most 1000 manifests that refer to one name are brought" in ran.stderr
    assert [f"hub/{APP}:1.0", f"hub/{APP}:{digest(image).replace(':', '-')}.sbom"] == [
        line.split()[0] for line in again.stdout.splitlines()
    ]
    assert not any(operator.file(digest(one)).exists() for one in many)


@pytest.mark.parametrize("before", [False, True], ids=["at once", "later"])
async def test_what_a_referrer_leads_to_is_not_brought_without_end(
    before: bool, registry: Registry, operator: Operator
) -> None:
    image = registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    referrers = f"hub/{APP}@{digest(image)}/referrers"
    operator.configures({"hub": oci(registry, fresh_for="0s")})
    if before:
        registry.offers.discard("referrers")
        signature = attached(registry, image, b"signature")
        registry.add_manifest(APP, listed(signature), tag=digest(image).replace(":", "-"))
        await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:1.0")
    unheard_of = [descriptor(b"{}", f"sha256:{number:064x}") for number in range(10_000)]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": unheard_of})
    registry.add_manifest(APP, index.encode())
    registry.offers.discard("referrers")
    registry.add_manifest(APP, listed(index.encode()), tag=digest(image).replace(":", "-"))
    ran = await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:1.0")
    listing = await operator.runs("pin", "--json")
    pins = {pin["name"]: pin["held"] for pin in map(json.loads, listing.stdout.splitlines())}

    assert 1 == ran.returncode
    assert f"{referrers}: it leads to more than 10000 blobs that are not held, and " in ran.stderr
    assert {f"hub/{APP}:1.0": 3} | ({referrers: 4} if before else {}) == pins
    assert registry.count() < 100


async def test_a_referrer_that_came_later_is_missing_until_it_is_fetched(
    registry: Registry, operator: Operator, gateways: Gateways
) -> None:
    image = registry.push(APP, "1.0", ONE)
    registry.add_blob(APP, b"{}")
    attached(registry, image, b"first")
    operator.configures({"hub": oci(registry)})
    await operator.runs("pin", "--fetch", "--referrers", f"hub/{APP}:1.0")
    second = attached(registry, image, b"second")
    running = await gateways.start({"hub": registry})
    await running.get(f"/v2/hub/{APP}/referrers/{digest(image)}", **{"Cache-Control": "no-cache"})
    await running.at_rest()
    ran, fetched = await operator.runs("pin"), await operator.runs("pin", "--fetch")

    assert (1, 0) == (ran.returncode, fetched.returncode), fetched.stdout + fetched.stderr
    assert "/referrers: the list of its referrers has changed since" in ran.stdout
    assert operator.file(digest(second)).exists()
