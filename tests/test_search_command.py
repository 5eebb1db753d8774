"""`apprproxy search` and `apprproxy names show` as an operator runs them."""

import json

import pytest

from tests.fakes import lies
from tests.fakes.content import digest
from tests.fakes.fixtures import clock, other, registry
from tests.fakes.gateway import oci
from tests.fakes.registry import Registry
from tests.search.operator import Operator, operator

__all__ = ["clock", "operator", "other", "registry"]

HERE = "127.0.0.1:8080"


async def test_a_word_is_found_with_how_to_pull_it(registry: Registry, operator: Operator) -> None:
    registry.push("team/nginx", "latest", b"layer")
    operator.configures(hub=oci(registry))
    ran = await operator.runs("search", "nginx")

    assert (0, "") == (ran.returncode, ran.stderr)
    assert [
        "hub/team/nginx  latest  1 version",
        f"    crane pull --insecure {HERE}/hub/team/nginx:latest nginx.tar",
    ] == ran.stdout.splitlines()


async def test_json_is_what_the_gateway_answers(registry: Registry, operator: Operator) -> None:
    for name in ("a/one", "a/two"):
        registry.push(name, "1.0", b"layer")
    operator.configures(hub=oci(registry))
    ran = await operator.runs("search", "a/", "--json", "--limit", "1", "--kind", "oci", "--view", "hub")
    found = json.loads(ran.stdout)

    assert (["a/one"], True, []) == ([one["name"] for one in found["results"]], found["more"], found["missing"])


async def test_what_was_found_before_is_found_without_the_upstream(registry: Registry, operator: Operator) -> None:
    registry.push("team/nginx", "1.0", b"layer")
    operator.configures(hub=oci(registry, stale_for="0s", fresh_for="0s"))
    await operator.runs("search", "nginx")
    await registry.stop()
    ran = await operator.runs("search", "ngnix")

    assert (0, "hub/team/nginx  1.0  1 version") == (ran.returncode, ran.stdout.splitlines()[0])


async def test_who_could_not_be_asked_is_told(registry: Registry, other: Registry, operator: Operator) -> None:
    other.on["catalog"] = lies.page(503)
    operator.configures(hub=oci(registry), far=oci(other))
    ran = await operator.runs("search", "nginx")

    assert (0, "nothing found\n", "warning: could not be asked: far\n") == (ran.returncode, ran.stdout, ran.stderr)


async def test_whom_the_default_view_leaves_out_is_told_where_nothing_was_found(
    registry: Registry, other: Registry, operator: Operator
) -> None:
    other.push("team/nginx", "1.0", b"layer")
    operator.configures(hub=oci(registry), far=oci(other))
    operator.configures_views(default=["hub"])
    nothing = await operator.runs("search", "nginx")
    there = await operator.runs("search", "nginx", "--view", "far")

    assert (0, "nothing found\n") == (nothing.returncode, nothing.stdout)
    assert "note: the view default was searched, which has not got far: --view far searches it\n" == nothing.stderr
    assert (0, "") == (there.returncode, there.stderr)


async def test_where_there_is_nobody_to_search_that_is_told(registry: Registry, operator: Operator) -> None:
    operator.configures(hub=oci(registry))
    ran = await operator.runs("search", "nginx", "--kind", "appr")

    assert (1, "nothing found\n") == (ran.returncode, ran.stdout)
    assert "warning: there is no upstream of kind appr to search\n" == ran.stderr


@pytest.mark.parametrize("more", [(), ("--json",)])
async def test_where_nobody_could_be_asked_nothing_is_known(operator: Operator, more: tuple[str, ...]) -> None:
    operator.configures(hub={"kind": "oci", "url": "http://127.0.0.1:1"})
    ran = await operator.runs("search", "nginx", *more)

    assert (1, "warning: could not be asked: hub\n") == (ran.returncode, ran.stderr)


async def test_whose_names_cannot_be_searched_is_told(registry: Registry, other: Registry, operator: Operator) -> None:
    other.offers = set()
    operator.configures(hub=oci(registry), far=oci(other), none=oci(registry, names="refuse"))
    no_list = "warning: far offers no list of its names: they cannot be searched\n"
    all_of_them = await operator.runs("search", "nginx")
    one = await operator.runs("search", "nginx", "--view", "far")

    assert (0, "nothing found\n") == (all_of_them.returncode, all_of_them.stdout)
    assert f"{no_list}warning: none is not asked for names (names: refuse): they cannot be searched\n" == (
        all_of_them.stderr
    )
    assert (1, "nothing found\n", no_list) == (one.returncode, one.stdout, one.stderr)


@pytest.mark.parametrize(
    "arguments",
    [("a\x1bb",), ("",), ("a" * 10_240,), ("a", "--limit", "-1"), ("a", "--kind", "npm"), ("a", "--view", "none")],
)
async def test_what_cannot_be_a_search_is_wrong_use(operator: Operator, arguments: tuple[str, ...]) -> None:
    operator.configures(hub={"kind": "oci", "url": "http://127.0.0.1:1"})
    ran = await operator.runs("search", *arguments)

    assert (2, "") == (ran.returncode, ran.stdout)
    assert "\x1b" not in ran.stderr


async def test_a_held_name_is_shown(registry: Registry, operator: Operator) -> None:
    manifest = registry.push("library/app", "1.0", b"layer")
    operator.configures(hub=oci(registry))
    await operator.runs("names", "lock", "--output", str(operator.folder / "lock"), "hub/library/app:1.0")
    asked = registry.count()
    shown = await operator.runs("names", "show", "hub/library/app:1.0")
    as_json = await operator.runs("names", "show", "--json", "hub/library/app:1.0")

    assert (0, f"hub/library/app:1.0  {digest(manifest)}") == (shown.returncode, shown.stdout.splitlines()[0])
    assert digest(manifest) == json.loads(as_json.stdout)["digest"]
    assert asked == registry.count()


async def test_a_locked_name_is_its_lock_files_word(registry: Registry, operator: Operator) -> None:
    registry.push("library/app", "1.0", b"layer")
    lock = operator.folder / "lock"
    operator.configures(hub=oci(registry))
    await operator.runs("names", "lock", "--output", str(lock), "hub/library/app:1.0")
    operator.configures(hub=oci(registry, names="locked", lock_file=str(lock)))
    ran = await operator.runs("names", "show", "hub/library/app:1.0")

    assert (0, "  owner       hub, whose lock file says so") == (ran.returncode, ran.stdout.splitlines()[1])


async def test_a_name_that_is_not_held_went_wrong(registry: Registry, operator: Operator) -> None:
    operator.configures(hub=oci(registry))
    ran = await operator.runs("names", "show", "hub/library/app:1.0\x1b[31m")

    assert (1, "", False) == (ran.returncode, ran.stdout, "\x1b" in ran.stderr)
    assert 0 == registry.count()


async def test_a_view_that_is_not_there_leaves_no_cache_behind(registry: Registry, operator: Operator) -> None:
    operator.configures(hub=oci(registry))
    ran = await operator.runs("search", "nginx", "--view", "typo")

    assert 2 == ran.returncode
    assert "there is no view or upstream 'typo' in the configuration" in ran.stderr
    assert not operator.cache.exists()
