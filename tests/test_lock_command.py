"""`apprproxy names lock` as an operator runs it: what it writes, what it says, and how it ends."""

import asyncio
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from apprproxy.core.lock import parse
from apprproxy.locking import resolve
from apprproxy.settings import Settings
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.upstream import running
from tests.fakes.clock import Clock
from tests.fakes.command import run
from tests.fakes.content import digest
from tests.fakes.fixtures import clock, other, registry
from tests.fakes.gateway import oci
from tests.fakes.registry import Registry

__all__ = ["clock", "other", "registry"]

APP = "library/app"


class Operator:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "names.lock.json"
        self.path = folder / "apprproxy.yaml"

    def configures(self, cache: str = "cache", /, **upstreams: object) -> None:
        directory = str(self.folder / cache)
        self.path.write_text(yaml.safe_dump({"cache": {"directory": directory}, "upstreams": upstreams}))

    async def locks(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(run, "names", "lock", "--config", str(self.path), *arguments)

    @property
    def names(self) -> dict[str, str]:
        return {name: str(one) for name, one in parse(self.lock.read_text()).names.items()}


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)


async def test_names_are_added_changed_and_kept(registry: Registry, other: Registry, operator: Operator) -> None:
    one, two = registry.push(APP, "1.0", b"one"), registry.push(APP, "2.0", b"two")
    hub = oci(other, names="locked", lock_file=str(operator.lock))
    operator.configures(good=oci(registry), hub=hub)
    first = await operator.locks(f"good/{APP}:1.0", f"good/{APP}:2.0")
    three = registry.push(APP, "1.0", b"three")
    operator.configures("another", good=oci(registry), hub=hub)  # what was said within a second is not asked again
    second = await operator.locks(f"good/{APP}:1.0", f"good/{APP}:2.0")

    assert (0, "") == (first.returncode, first.stderr)
    assert [f"added    {APP}:1.0  {digest(one)}", f"added    {APP}:2.0  {digest(two)}"] == first.stdout.splitlines()
    assert [
        f"changed  {APP}:1.0  {digest(one)} -> {digest(three)}",
        f"kept     {APP}:2.0  {digest(two)}",
    ] == second.stdout.splitlines()
    assert {f"{APP}:1.0": digest(three), f"{APP}:2.0": digest(two)} == operator.names
    assert 0 == other.count()


async def test_a_release_is_locked_in_the_formats_it_has(operator: Operator) -> None:
    tar = chart("0.1.0")
    async with running() as quay:
        for media_type in ("helm", "kpm"):
            quay.registry.push("alice/nginx", "0.1.0", media_type, packed(tar))
        operator.configures(quay={"kind": "appr", "url": quay.url})
        ran = await operator.locks("--output", str(operator.lock), "quay/alice/nginx@0.1.0")
        one = await operator.locks("--output", str(operator.folder / "one"), "quay/alice/nginx@default/helm")

    wanted = str(digest_of(tar))
    assert (0, 0) == (ran.returncode, one.returncode), ran.stderr + one.stderr
    assert {f"alice/nginx@0.1.0/{media_type}": wanted for media_type in ("helm", "kpm")} == operator.names
    assert {"alice/nginx@0.1.0/helm": wanted} == json.loads((operator.folder / "one").read_text())["names"]


@pytest.mark.parametrize("lie", [{"mediaType": "application/vnd.appr.package-manifest.kpm.v0.json"}, {"release": "v2"}])
async def test_a_release_is_not_locked_by_another_name_than_was_given(tmp_path: Path, lie: dict[str, str]) -> None:
    async with running() as quay:
        quay.registry.push("alice/nginx", "v1", "helm", packed(chart("0.1.0")))
        quay.registry.manifests["alice/nginx", "v1", "helm"] |= lie
        upstreams = {"quay": {"kind": "appr", "url": quay.url}}
        settings = Settings.model_validate({"cache": {"directory": tmp_path / "cache"}, "upstreams": upstreams})
        resolved = await resolve(settings, ["quay/alice/nginx@v1/helm", "quay/alice/nginx@v1"])

    assert {} == resolved[0].digests
    assert "was asked for" in resolved[0].failure
    assert list(resolved[1].digests) in ([], ["alice/nginx@v1/kpm"])


async def test_what_fails_is_told_and_the_rest_is_written(
    registry: Registry, other: Registry, operator: Operator
) -> None:
    content = registry.push(APP, "1.0", b"one")
    lock = str(operator.lock)
    operator.configures(good=oci(registry, deny=["secret/*"]), hub=oci(other, names="locked", lock_file=lock))
    names = ["good/library/app:9", "hub/library/app:1.0", "nobody/app:1", "good/App:1", "good/secret/app:1"]
    ran = await operator.locks(f"good/{APP}:1.0", *names)

    assert 1 == ran.returncode
    assert {f"{APP}:1.0": digest(content)} == operator.names
    assert [
        "error: good/library/app:9: good: says MANIFEST_UNKNOWN: said so",
        "error: hub/library/app:1.0: upstreams.hub.names is locked, so its word is not taken; name a trusted one",
        "error: nobody/app:1: a name to lock begins with an upstream's, and there is none called 'nobody'",
        "error: good/App:1: not a repository name: 'App'",
        "error: good/secret/app:1: 'secret/app' is not served here: upstreams.good.deny has 'secret/*'",
    ] == ran.stderr.splitlines()
    assert 0 == other.count()


async def test_what_is_only_remembered_is_not_locked(registry: Registry, tmp_path: Path, clock: Clock) -> None:
    registry.push(APP, "1.0", b"one")
    document = {"cache": {"directory": tmp_path / "cache"}, "upstreams": {"good": oci(registry)}}
    settings = Settings.model_validate(document)
    names = [f"good/{APP}:1.0"]
    (before,) = await resolve(settings, names, now=clock)
    await registry.stop()
    clock.advance(2)
    (after,) = await resolve(settings, names, now=clock)

    assert (True, "") == (bool(before.digests), before.failure)
    assert ({}, "good could not be asked now, and what it said before is not locked") == (after.digests, after.failure)


async def test_what_is_held_offline_is_only_remembered_and_not_locked(
    registry: Registry, tmp_path: Path, clock: Clock
) -> None:
    registry.push(APP, "1.0", b"one")
    document = {"cache": {"directory": tmp_path / "cache"}, "upstreams": {"good": oci(registry)}}
    names = [f"good/{APP}:1.0"]
    (before,) = await resolve(Settings.model_validate(document), names, now=clock)
    (after,) = await resolve(Settings.model_validate({**document, "offline": True}), names, now=clock)

    assert (True, "") == (bool(before.digests), before.failure)
    assert ({}, "good could not be asked now, and what it said before is not locked") == (after.digests, after.failure)


async def test_what_a_locked_upstream_owns_is_locked_from_nobody_else(
    registry: Registry, other: Registry, operator: Operator
) -> None:
    registry.push(APP, "1.0", b"squatted")
    lock = str(operator.lock)
    operator.configures(good=oci(registry), hub=oci(other, names="locked", lock_file=lock, own=["library/*"]))
    ran = await operator.locks(f"good/{APP}:1.0")

    assert (1, "") == (ran.returncode, ran.stdout)
    assert "upstreams.hub.own has 'library/*'" in ran.stderr
    assert 0 == registry.count()
    assert not operator.lock.exists()


@pytest.mark.parametrize("lock_files", [[], ["one", "two"]])
async def test_where_to_write_must_be_clear(lock_files: list[str], registry: Registry, operator: Operator) -> None:
    locked = {name: oci(registry, names="locked", lock_file=name) for name in lock_files}
    operator.configures(good=oci(registry), **locked)
    ran = await operator.locks(f"good/{APP}:1.0")

    assert 2 == ran.returncode
    assert "--output" in ran.stderr


async def test_a_lock_that_cannot_be_read_is_not_overwritten(registry: Registry, operator: Operator) -> None:
    registry.push(APP, "1.0", b"one")
    operator.lock.write_text("{broken")
    operator.configures(good=oci(registry))
    ran = await operator.locks("--output", str(operator.lock), f"good/{APP}:1.0")

    assert (1, "{broken") == (ran.returncode, operator.lock.read_text())
    said = f"error: {operator.lock}: not JSON; it is left as it is: mend it, or move it away"
    assert [said] == ran.stderr.splitlines()
