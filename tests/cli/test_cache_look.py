"""`apprproxy cache stats` and `list`, as an operator or a script reads them."""

import json

import pytest

from tests.cli.operator import Operator
from tests.fakes.content import digest, some_bytes
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry

APP = "library/app"
LAYER = some_bytes(300_000)


async def filled(registry: Registry, gateways: Gateways, operator: Operator) -> bytes:
    """A stopped gateway's cache with one image; its manifest."""
    manifest = registry.push(APP, "1.0", LAYER)
    running = await gateways.start({"hub": registry})
    assert 200 == (await running.get(f"/v2/hub/{APP}/manifests/1.0")).status
    assert 200 == (await running.get(f"/v2/hub/{APP}/blobs/{digest(LAYER)}")).status
    await running.at_rest()
    await running.close()
    operator.configures({"hub": oci(registry)})
    return manifest


async def test_stats_say_how_full_it_is_and_with_what(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    manifest = await filled(registry, gateways, operator)
    (operator.cache / "ingest" / f"sha256-{'0' * 64}.part").write_bytes(b"left behind")
    await operator.runs("pin", f"hub/{APP}:1.0")
    (stats,) = await operator.reads("stats")
    ran = await operator.runs("stats")

    size = len(LAYER) + len(manifest)
    assert (2, size, size, 1) == (stats["blobs"], stats["size"], stats["pinned"], stats["pins"])
    assert ({"hub": 1}, {"number": 1, "size": 11}) == (stats["names"], stats["orphans"])
    assert (20 * 1024**3, {"number": 0, "size": 0}) == (stats["max_size"], stats["quarantined"])
    assert ["blobs       2, 293.4 KiB", "cap         20.0 GiB, 0.0% of it taken"] == ran.stdout.splitlines()[:2]


async def test_stats_say_what_stands_beside_the_cap(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    """Nothing of it is ever evicted, and an upstream may have made up any number of names."""
    await filled(registry, gateways, operator)
    (stats,) = await operator.reads("stats")
    lines = (await operator.runs("stats")).stdout.splitlines()

    assert ({"hub": 1}, {"names", "index", "search"}) == (stats["first_seen"], set(stats["beside"]))
    assert 0 < min(stats["beside"]["names"], stats["beside"]["index"])
    assert "first seen  hub 1" in lines
    assert 1 == sum(line.startswith("beside cap  names ") for line in lines)


async def test_stats_of_an_empty_cache_are_none(operator: Operator) -> None:
    operator.configures({})
    operator.begins()
    (stats,) = await operator.reads("stats")

    assert (0, None, {}) == (stats["blobs"], stats["oldest"], stats["names"])


async def test_a_list_says_what_each_blob_is(registry: Registry, gateways: Gateways, operator: Operator) -> None:
    manifest = await filled(registry, gateways, operator)
    largest, smallest = await operator.reads("list", "--sort", "size")
    ran = await operator.runs("list", "--sort", "size", "--limit", "1")

    assert (digest(LAYER), len(LAYER), False) == (largest["digest"], largest["size"], largest["pinned"])
    assert digest(manifest) == smallest["digest"]
    assert [("hub", APP, "owner")] == [
        (one["upstream"], one["repository"], one["source"]) for one in largest["shown_by"]
    ]
    (line,) = ran.stdout.splitlines()
    assert line.startswith(f"{digest(LAYER)}   293.0 KiB  ")
    assert line.endswith(f" hub/{APP}")


@pytest.mark.parametrize(
    ("options", "number"),
    [
        (["--upstream", "hub"], 2),
        (["--upstream", "hu"], 0),
        (["--upstream", "other"], 0),
        (["--larger-than", "100KiB"], 1),
        (["--sort", "used", "--limit", "1"], 1),
    ],
)
async def test_a_list_is_narrowed(
    options: list[str], number: int, registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    await filled(registry, gateways, operator)

    assert number == len(await operator.reads("list", *options))


async def test_an_upstream_that_is_not_configured_is_warned_of(operator: Operator) -> None:
    operator.configures({"hub": {"kind": "oci", "url": "http://127.0.0.1:1"}})
    operator.begins()
    ran = await operator.runs("list", "--upstream", "hubb")

    assert (0, "warning: the configuration has no upstream 'hubb'; it has hub\n") == (ran.returncode, ran.stderr)


async def test_a_size_that_is_none_is_wrong_use(operator: Operator) -> None:
    operator.configures({})
    ran = await operator.runs("list", "--larger-than", "much")

    assert 2 == ran.returncode
    assert "not a size: 'much'" in ran.stderr


async def test_a_cache_that_cannot_be_used_is_told_in_one_line(operator: Operator) -> None:
    operator.cache.write_text("in the way")
    operator.configures({})
    ran = await operator.runs("stats")

    assert 1 == ran.returncode
    assert 1 == len(ran.stderr.splitlines())
    assert ran.stderr.startswith("error: cache.directory ")


async def test_what_is_noticed_on_the_way_is_no_line_of_the_answer(
    registry: Registry, gateways: Gateways, operator: Operator
) -> None:
    await filled(registry, gateways, operator)
    (operator.cache / "names" / "cache.db").write_bytes(b"this is not sqlite" * 100)
    ran = await operator.runs("stats", "--json")

    assert 2 == json.loads(ran.stdout)["blobs"]
    assert "a broken file was set aside" in ran.stderr
