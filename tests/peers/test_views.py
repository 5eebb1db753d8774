"""Genuine servers of all kinds behind a gateway are one to genuine clients, whichever of them stops, stalls or lies."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.peers import seeds, servers
from tests.peers.between import Between, between
from tests.peers.clients import run
from tests.peers.gateway import Gateway, Gateways
from tests.peers.journey import Call, eventually
from tests.peers.layout import write_layout
from tests.peers.process import Process
from tests.peers.said import say

pytestmark = pytest.mark.peers

GENUINE = {
    "distribution": servers.distribution,
    "olareg": servers.olareg,
    "second": servers.distribution,
    "appr": servers.appr,
    "old": servers.cnr,
}
MEMBERS = list(GENUINE)
PACKAGED = {"appr", "old"}
HOW = ["stopped", "stalls", "lies"]
REPOSITORIES = ["images/multi", "only/distribution", "only/second"]
"""Olareg has no catalog, and so nothing to leave out of one."""
PACKAGES = ["alice/nginx", "bob/app", "carol/kube"]
REVALIDATE = "200ms"
"""That a member is given while its last answer is held: longer than any takes here."""

OWN = {
    "distribution": [
        Call("crane", "ls --insecure {at}/only/distribution"),
        Call("skopeo", "copy --src-tls-verify=false --all docker://{at}/only/distribution:1.0 oci:copy"),
    ],
    "olareg": [
        Call("crane", "digest --insecure {at}/only/olareg:1.0"),
        Call("helm3", "pull oci://{at}/charts/demo --version 0.1.0 --plain-http"),
    ],
    "second": [Call("crane", "pull --insecure --format oci {at}/only/second:1.0 copy")],
    "appr": [
        Call("appr", "show http://{at}/bob/app"),
        Call("appr", "pull -t helm http://{at}/alice/nginx@0.1.0"),
    ],
    "old": [Call("appr", "pull -t kpm http://{at}/carol/kube@1.0.0")],
}
"""What clients get of each member, and of nobody else."""

CONTESTED = [
    Call("skopeo", "inspect --tls-verify=false --retry-times 0 docker://{at}/images/multi:1.0"),
    Call("appr", "pull -t docker-compose http://{at}/bob/app@1.0.0"),
]
"""What later members have as well."""


@dataclass(frozen=True)
class Member:
    server: Process
    door: Between

    def fails(self, how: str) -> AbstractContextManager[None]:
        return self.server.stopped() if how == "stopped" else self.door.doing(how)


Members = Mapping[str, Member]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Members]:
    """Each has something of its own; images/multi:1.0 is in every registry, bob/app in both App Registries."""
    with ExitStack() as running:
        known: dict[str, Member] = {}
        for name, genuine in GENUINE.items():
            server = running.enter_context(genuine(tmp_path_factory.mktemp(name)))
            known[name] = Member(server, running.enter_context(between(server.host)))
        _fill({name: member.server for name, member in known.items()}, tmp_path_factory)
        yield known


def _fill(known: Mapping[str, Process], folders: pytest.TempPathFactory) -> None:
    seeds.fill_oci(known["olareg"], folders.mktemp("seed"))
    seeds.fill_app_registry(known["appr"], folders.mktemp("seed"))
    other = folders.mktemp("seed")
    seeds.push(known["old"], other, "kpm", "carol/kube")
    seeds.push(known["old"], other, "docker-compose", "bob/app")
    layout = str(write_layout(folders.mktemp("layout")))
    for name in set(MEMBERS) - PACKAGED:
        for repository in ("images/multi", f"only/{name}"):
            run("crane", "push", "--insecure", "--index", layout, f"{known[name].host}/{repository}:1.0").ok()


def settings(members: Members) -> dict[str, Any]:
    keys = {"fresh_for": "0s", "missing_for": "1s"}

    def timeouts() -> dict[str, str]:
        return {"name": "3s", "revalidate": REVALIDATE, "read": "3s"}

    return {
        name: {"kind": "appr" if name in PACKAGED else "oci", "url": member.door.url, "timeouts": timeouts(), **keys}
        for name, member in members.items()
    }


def views() -> dict[str, Any]:
    return {"default": MEMBERS[:], "corp": {"members": MEMBERS[::-1], "hosts": ["localhost"]}}


@pytest.fixture(scope="module")
def expected(members: Members) -> dict[str, list[tuple[list[str], dict[str, str]]]]:
    """As each says it itself."""
    return {name: [call.seen(members[name].server.host, {}) for call in calls] for name, calls in OWN.items()}


@pytest.fixture(scope="module")
def warm(members: Members, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Everything has been asked for once; nothing stays fresh."""
    with Gateway(tmp_path_factory.mktemp("gateway"), settings(members), views=views()) as gateway:
        for calls in OWN.values():
            for call in calls:
                call.run(gateway.host, {}).ok()
        repositories(gateway)
        packages(gateway)
        yield gateway


def repositories(gateway: Gateway, host: str = "127.0.0.1") -> list[str]:
    listed = run("crane", "catalog", "--insecure", gateway.host.replace("127.0.0.1", host)).ok()
    return listed.out.split()


def packages(gateway: Gateway) -> list[str]:
    listed = run("appr", "list", "--output", "json", gateway.url).ok()
    return sorted(package["name"] for package in json.loads(listed.out))


def test_all_of_them_are_one(
    members: Members, warm: Gateway, expected: dict[str, list[tuple[list[str], dict[str, str]]]]
) -> None:
    for name, calls in OWN.items():
        for call, genuine in zip(calls, expected[name], strict=True):
            assert genuine == call.seen(warm.host, {}), f"{name}: {call}"
    assert REPOSITORIES == repositories(warm)
    assert PACKAGES == packages(warm)


def test_a_member_that_says_only_names_costs_nobody_the_list(members: Members, warm: Gateway) -> None:
    with members["old"].door.doing("says only names"):
        listed = run("appr", "list", warm.url).ok().out

    assert PACKAGES == sorted(package for package in PACKAGES if package in listed)


def test_a_client_that_comes_by_a_views_host_finds_that_view(warm: Gateway) -> None:
    by_address = say(warm.host, "/v2/images/multi/manifests/1.0", Host=warm.host)
    by_name = say(warm.host, "/v2/images/multi/manifests/1.0", Host=warm.host.replace("127.0.0.1", "LocalHost"))

    assert ("distribution", "second") == tuple(got.headers["apprproxy-upstream"] for got in (by_address, by_name))
    assert REPOSITORIES == repositories(warm, "localhost")


def test_the_search_tells_of_genuine_servers_what_they_have(warm: Gateway) -> None:
    def found(word: str) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = say(warm.host, f"/api/search?q={word}").json["results"]
        return [one for one in results if one["match"] == "exact"]

    def learned() -> None:
        assert [["stable"], 2, "0.2.0"] == [found("nginx")[0][key] for key in ("channels", "versions", "latest")]
        assert ["distribution"] == [one["upstream"] for one in found("images/multi")], "whoever owns it in the view"

    eventually(learned)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("failing", MEMBERS)
def test_what_is_held_of_a_member_that_fails_stands_in_for_it(
    failing: str,
    how: str,
    members: Members,
    warm: Gateway,
    expected: dict[str, list[tuple[list[str], dict[str, str]]]],
) -> None:
    with members[failing].fails(how):
        assert expected[failing][-1] == OWN[failing][-1].seen(warm.host, {})
        if failing in PACKAGED:
            assert PACKAGES == packages(warm)
        else:
            assert REPOSITORIES == repositories(warm)


@pytest.mark.parametrize("how", HOW)
def test_of_a_member_that_fails_nothing_is_handed_to_the_others_and_lists_name_it(
    how: str, members: Members, gateways: Gateways
) -> None:
    gateway = gateways.start(settings(members), views=views())
    others = [members[name].door.asked for name in ("olareg", "second", "old")]
    with members["distribution"].fails(how), members["appr"].fails(how), ThreadPoolExecutor(2) as pool:
        catalog, listed = pool.map(lambda path: say(gateway.host, path), ["/v2/_catalog", "/cnr/api/v1/packages"])
        asked = [len(one) for one in others]
        image, package = pool.map(lambda call: call.run(gateway.host, {}), CONTESTED)
        still = [len(one) for one in others]

    assert (200, "distribution") == (catalog.status, catalog.headers["apprproxy-partial"])
    assert ["images/multi", "only/second"] == catalog.json["repositories"]
    assert (200, "appr") == (listed.status, listed.headers["apprproxy-partial"])
    assert ["bob/app", "carol/kube"] == sorted(package["name"] for package in listed.json)
    assert 0 not in (image.status, package.status)
    assert {} == {**image.files, **package.files}, "and no client kept anything wrong"
    assert asked == still
