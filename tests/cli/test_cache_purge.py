"""`apprproxy cache purge`: what goes, what stays, and that a running gateway serves none of what went."""

from pathlib import Path

import aiohttp
import pytest

from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.upstream import running as app_registry
from tests.cli.operator import Operator
from tests.fakes.clock import until
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry
from tests.test_serving import gateway

APP = "library/app"
BASE, LAYER = some_bytes(50_000, "base"), some_bytes(20_000, "layer")


async def pulled(registry: Registry, gateways: Gateways, operator: Operator) -> Running:
    """Two tags that share a layer."""
    running = await gateways.start({"hub": registry})
    for tag, layers in {"1.0": (BASE, LAYER), "2.0": (BASE,)}.items():
        registry.push(APP, tag, *layers)
        await running.get(f"/v2/hub/{APP}/manifests/{tag}")
        for layer in layers:
            await running.get(f"/v2/hub/{APP}/blobs/{digest(layer)}")
    await running.at_rest()
    operator.configures({"hub": oci(registry)})
    return running


async def test_a_name_goes_with_what_only_it_led_to(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    await pulled(registry, gateways, operator)
    ran = await operator.runs("purge", f"hub/{APP}:1.0")

    assert (0, "") == (ran.returncode, ran.stderr)
    assert ran.stdout.startswith(f"purged hub/{APP}:1.0: 1 names, 2 blobs, ")
    assert ran.stdout.endswith(", 1 blobs stay, which others need\n")
    assert (True, False) == (operator.file(digest(BASE)).exists(), operator.file(digest(LAYER)).exists())


async def test_the_bytes_stay_if_only_the_name_is_purged(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    running = await pulled(registry, gateways, operator)
    asked = registry.count("HEAD tag")
    (purged,) = await operator.reads("purge", "--name-only", f"hub/{APP}:1.0")
    got = await running.get(f"/v2/hub/{APP}/manifests/1.0")

    assert (1, 0) == (purged["names"], purged["blobs"])
    assert (200, asked + 1) == (got.status, registry.count("HEAD tag"))
    assert operator.file(digest(LAYER)).exists()


async def test_a_manifest_that_an_index_names_stays(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    running = await pulled(registry, gateways, operator)
    manifest = registry.push(APP, "1.0", BASE, LAYER)
    index = f'{{"schemaVersion":2,"manifests":[{{"digest":"{digest(manifest)}","size":{len(manifest)}}}]}}'.encode()
    registry.add_manifest(APP, index, tag="all")
    await running.get(f"/v2/hub/{APP}/manifests/all")
    (purged,) = await operator.reads("purge", f"hub/{APP}:1.0")

    assert (1, 0) == (purged["names"], purged["blobs"])
    assert operator.file(digest(manifest)).exists()


async def test_a_running_server_serves_it_neither_from_memory_nor_from_disk(
    registry: Registry, operator: Operator, tmp_path: Path
) -> None:
    manifest = registry.push(APP, "1.0", LAYER)
    hub = oci(registry, fresh_for="1h", timeouts={"connect": "1s"})
    operator.configures({"hub": hub})
    paths = [f"/v2/hub/{APP}/manifests/1.0", f"/v2/hub/{APP}/manifests/{digest(manifest)}"]
    paths.append(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")
    async with gateway(tmp_path, upstreams={"hub": hub}) as running, aiohttp.ClientSession(running.urls[0]) as client:
        before = await _statuses(client, paths)
        await until(operator.file(digest(LAYER)).exists)
        await registry.stop()
        warm = await _statuses(client, paths)
        ran = await operator.runs("purge", f"hub/{APP}:1.0")
        after = await _statuses(client, paths)

    assert [200] * 3 == before == warm
    assert 0 == ran.returncode
    assert {502, 503, 504} >= set(after)


async def _statuses(client: aiohttp.ClientSession, paths: list[str]) -> list[int]:
    found = []
    for path in paths:
        async with client.get(path) as answer:
            await answer.read()
            found.append(answer.status)
    return found


async def test_a_blob_goes_by_its_digest_and_comes_again(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    running = await pulled(registry, gateways, operator)
    ran = await operator.runs("purge", digest(LAYER))
    again = await operator.runs("purge", digest(LAYER))
    gone = not operator.file(digest(LAYER)).exists()
    got = await running.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")

    assert (0, 1, True) == (ran.returncode, again.returncode, gone)
    assert f"error: {digest(LAYER)}: it is not held\n" == again.stderr
    assert LAYER == got.body


async def test_what_is_pinned_is_refused_unless_it_is_forced(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    await pulled(registry, gateways, operator)
    await operator.runs("pin", f"hub/{APP}:1.0")
    refused = [await operator.runs("purge", *what) for what in _PINNED]
    held = operator.file(digest(LAYER)).exists()
    forced = await operator.runs("purge", "--force", f"hub/{APP}:1.0")

    assert [1, 1, 1, 1] == [ran.returncode for ran in refused]
    assert all("pinned" in ran.stderr for ran in refused)
    assert (True, 0, False) == (held, forced.returncode, operator.file(digest(LAYER)).exists())
    assert [] == await operator.reads("pin")


_PINNED = [[f"hub/{APP}:1.0"], [digest(LAYER)], ["--all", "--yes"], ["--upstream", "hub", "--yes"]]


async def test_an_upstream_goes_and_what_others_showed_stays(
    registry: Registry, other: Registry, gateways: Gateways, operator: Operator
) -> None:
    running = await gateways.start({"hub": registry, "hub-two": other})
    for name, upstream, layers in (("hub", registry, (BASE, LAYER)), ("hub-two", other, (BASE,))):
        upstream.push(APP, "1.0", *layers, note=name)
        await running.get(f"/v2/{name}/{APP}/manifests/1.0")
        await running.get(f"/v2/{name}/{APP}/tags/list")
        for layer in layers:
            await running.get(f"/v2/{name}/{APP}/blobs/{digest(layer)}")
    await running.at_rest()
    operator.configures({"hub": oci(registry), "hub-two": oci(other)})
    (purged,) = await operator.reads("purge", "--upstream", "hub", "--yes")
    await registry.stop()
    gone = await running.get(f"/v2/hub/{APP}/blobs/{digest(BASE)}")
    kept = await running.get(f"/v2/hub-two/{APP}/blobs/{digest(BASE)}")
    (stats,) = await operator.reads("stats")

    assert {"hub-two": 2} == stats["names"]
    assert (502, 200, False) == (gone.status, kept.status, operator.file(digest(LAYER)).exists())
    assert purged["blobs"] >= 2


async def test_what_another_upstream_only_said_that_it_has_goes_with_the_one_that_brought_it(
    registry: Registry, other: Registry, gateways: Gateways, operator: Operator
) -> None:
    running = await gateways.start({"hub": registry, "hub-two": other})
    for name, upstream in (("hub", registry), ("hub-two", other)):
        upstream.add_blob(APP, BASE)
        assert 200 == (await running.get(f"/v2/{name}/{APP}/blobs/{digest(BASE)}")).status
        await running.at_rest()
    operator.configures({"hub": oci(registry), "hub-two": oci(other)})
    (purged,) = await operator.reads("purge", "--upstream", "hub", "--yes")

    assert 0 == other.count("GET blob")
    assert (1, False) == (purged["blobs"], operator.file(digest(BASE)).exists())


async def test_so_does_a_package(gateways: Gateways, operator: Operator) -> None:
    tar = chart("0.1.0")
    path = f"cnr/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(tar).hex}"
    async with app_registry() as one, app_registry() as other:
        upstreams = {name: {"kind": "appr", "url": up.url} for name, up in (("quay", one), ("quay-two", other))}
        running = await gateways.start(upstreams)
        for name, upstream in (("quay", one), ("quay-two", other)):
            upstream.registry.push("alice/nginx", "0.1.0", "helm", packed(tar))
            assert 200 == (await running.get(f"/{name}/{path}")).status
            await running.at_rest()
        operator.configures(upstreams)
        (purged,) = await operator.reads("purge", "--upstream", "quay", "--yes")

    assert 1 == purged["blobs"]
    assert [] == list((operator.cache / "unpacked" / "sha256").iterdir())


async def test_everything_goes(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    running = await pulled(registry, gateways, operator)
    await operator.runs("purge", "--all", "--yes")
    (stats,) = await operator.reads("stats")

    assert (0, 0, {}) == (stats["blobs"], stats["size"], stats["names"])
    assert [] == running.blobs


async def test_a_release_goes_whatever_it_was_called_and_what_was_first_seen_stands(
    gateways: Gateways, operator: Operator
) -> None:
    tar = chart("0.1.0")
    async with app_registry() as quay:
        upstreams = {"quay": {"kind": "appr", "url": quay.url}}
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(tar))
        running = await gateways.start(upstreams)
        base = "/quay/cnr/api/v1/packages/alice/nginx"
        for path in (base, f"{base}/0.1.0/helm", f"{base}/default/helm", f"{base}/blobs/sha256/{digest_of(tar).hex}"):
            assert 200 == (await running.get(path)).status
        await running.at_rest()
        operator.configures(upstreams)
        (purged,) = await operator.reads("purge", "quay/alice/nginx@0.1.0/helm")
        quay.registry.push("alice/nginx", "0.1.0", "helm", packed(chart("0.1.0", "evil")))
        moved = await running.get(f"{base}/0.1.0/helm")

    assert (2, 2) == (purged["names"], purged["blobs"])
    assert digest_of(tar).hex in moved.body.decode()
    assert [] == list((operator.cache / "unpacked" / "sha256").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "x/y:1"], ["--all"], ["--upstream", "hub"], ["nonsense"], ["sha256:abc"], ["hub/alice/nginx@1.0"]],
)
async def test_what_is_not_clear_is_wrong_use(arguments: list[str], operator: Operator) -> None:
    operator.configures({})
    ran = await operator.runs("purge", *arguments)

    assert (2, "") == (ran.returncode, ran.stdout)


async def test_a_name_that_nobody_knows_is_told(operator: Operator) -> None:
    operator.configures({})
    operator.begins()
    ran = await operator.runs("purge", "hub/nobody:1")

    assert (1, "error: hub/nobody:1: nothing is known of it\n") == (ran.returncode, ran.stderr)
