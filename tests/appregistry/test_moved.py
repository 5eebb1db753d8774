"""A release that is pushed again with other content keeps its first digest, until an operator accepts the new one."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from apprproxy.appregistry import shapes
from apprproxy.core.digest import Digest
from apprproxy.core.reading import LARGE
from tests.appregistry.archives import chart, digest_of, packed, unpacked
from tests.appregistry.conftest import Start
from tests.appregistry.gateway import Clock, RunningGateway
from tests.appregistry.registry import Answer, as_json
from tests.appregistry.upstream import Upstream, running
from tests.fakes.command import run

PACKAGE = "/cnr/api/v1/packages/alice/nginx"
MANIFEST = f"{PACKAGE}/1.0.0/helm"
PULL = f"{MANIFEST}/pull"
NAME = "up/alice/nginx@1.0.0/helm"
FIRST, NOW = chart("1.0.0"), chart("1.0.0", "moved")
MOVES = "apprproxy_moved_names_total"


@pytest.fixture
def pushed(upstream: Upstream) -> Upstream:
    """An upstream with three releases."""
    for release in ("0.9.0", "1.0.0", "1.1.0"):
        upstream.registry.push("alice/nginx", release, "helm", packed(chart(release)), {"of": release})
    return upstream


def force_push(upstream: Upstream, *, forget: bool = False) -> None:
    if forget:
        upstream.registry.blobs.clear()
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW))


async def seen_to_move(gateway: RunningGateway, upstream: Upstream) -> None:
    """First what it was, and then what it is."""
    await gateway.get(MANIFEST)
    force_push(upstream)
    gateway.clock.advance(120)
    await gateway.get(MANIFEST)


def shown(document: Any) -> dict[str, str]:
    """Release and digest of every manifest."""
    manifests = document if isinstance(document, list) else [document]
    return {manifest["release"]: manifest["content"]["digest"] for manifest in manifests}


async def command(gateway: RunningGateway, *words: str) -> tuple[int, str]:
    """``apprproxy names …`` in a process of its own, on the same cache: exit status and output."""
    config = gateway.directory.parent / "apprproxy.yaml"
    upstreams = {"up": {"kind": "appr", "url": gateway.app.settings.upstreams["up"].url}}
    config.write_text(yaml.safe_dump({"cache": {"directory": str(gateway.directory)}, "upstreams": upstreams}))
    words = ("names", words[0], "--config", str(config), *words[1:])
    ran = await asyncio.to_thread(run, *words, stderr=subprocess.STDOUT)
    return ran.returncode, ran.stdout


@pytest.mark.parametrize("target", [PACKAGE, f"{PACKAGE}?media_type=helm", f"{PACKAGE}/1.0.0", MANIFEST])
async def test_the_first_digest_stands_in_every_document_that_shows_the_release(
    target: str, start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    before = await gateway.get(target)
    force_push(pushed)
    gateway.clock.advance(120)
    after = await gateway.get(target)

    assert "fwd=stale" in after.cache
    assert digest_of(FIRST).hex == shown(after.json)["1.0.0"]
    assert shown(before.json) == shown(after.json)
    assert 1 == gateway.total(MOVES, upstream="up")


@pytest.mark.parametrize("first", [PACKAGE, f"{PACKAGE}/1.0.0", MANIFEST, PULL])
async def test_whatever_showed_the_release_first_every_other_document_holds_to_it(
    first: str, start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(first)
    force_push(pushed)
    targets = [PACKAGE, f"{PACKAGE}/1.0.0", MANIFEST, f"{PACKAGE}/1.0.0/-"]
    documents = [(await gateway.get(target)).json for target in targets]

    assert [digest_of(FIRST).hex] * 4 == [shown(document)["1.0.0"] for document in documents]


async def test_only_the_digest_is_changed_in_a_document_that_is_held(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    force_push(pushed)
    pushed.registry.manifests["alice/nginx", "1.0.0", "helm"]["unknown"] = {"z": 1, "a": [None]}
    gateway.clock.advance(120)
    held = await gateway.get(MANIFEST)
    told = json.loads(pushed.registry.answer("GET", MANIFEST).body)

    told["content"]["digest"] = digest_of(FIRST).hex
    assert json.dumps(told) == json.dumps(held.json)


async def test_a_long_document_is_taken_apart_beside_everything_else(
    start: Start, upstream: Upstream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When it comes, for each pull, and to put the first digest back."""
    threads: set[int] = set()

    def noting(name: str) -> None:
        read = getattr(shapes, name)

        def noted(*args: Any) -> Any:
            threads.add(threading.get_ident())
            return read(*args)

        monkeypatch.setattr(shapes, name, noted)

    for name in ("read_manifest", "with_digests"):
        noting(name)
    much = {"note": "x" * LARGE}
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST), much)
    gateway = await start({"up": upstream})
    pulls = [await gateway.get(PULL) for _ in range(2)]
    upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(NOW), much)
    clock.advance(3600)
    held = await gateway.get(MANIFEST)

    assert [200, 200] == [got.status for got in pulls]
    assert digest_of(FIRST).hex == held.json["content"]["digest"]
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("suffix", ["", "?format=json"])
async def test_the_first_bytes_are_served_on_after_a_forced_push(suffix: str, start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    before = await gateway.get(PULL + suffix)
    force_push(pushed, forget=True)
    gateway.clock.advance(120)
    after = await gateway.get(PULL + suffix)

    assert (200, before.body) == (after.status, after.body)
    assert 1 == gateway.total(MOVES, upstream="up")


async def test_the_first_bytes_are_fetched_by_their_digest_while_the_upstream_has_them(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    force_push(pushed)
    gateway.clock.advance(120)
    got = await gateway.get(PULL)

    assert FIRST == unpacked(got.body)


@pytest.mark.parametrize("wait", [2.0, 120.0], ids=["while the manifest is fresh", "later"])
async def test_where_the_first_bytes_are_nowhere_the_answer_is_409_with_both_digests_and_the_command(
    wait: float, start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    force_push(pushed, forget=True)
    gateway.clock.advance(wait)
    for _ in range(2):
        got = await gateway.get(PULL)

        assert (409, "RELEASE_MOVED") == (got.status, got.json["code"])
        assert {"name": NAME, "first": str(digest_of(FIRST)), "now": str(digest_of(NOW))} == got.json["details"]
        assert f"apprproxy names accept {NAME}" in got.json["message"]


async def test_so_it_is_where_the_first_bytes_are_held_for_somebody_else(start: Start, pushed: Upstream) -> None:
    """Nobody is told what others have here."""
    async with running() as other:
        other.registry.push("bob/nginx", "1.0.0", "helm", packed(FIRST))
        gateway = await start({"up": pushed, "other": other})
        await gateway.get("/other/cnr/api/v1/packages/bob/nginx/1.0.0/helm/pull")
        await gateway.get(MANIFEST)
        force_push(pushed, forget=True)
        gateway.clock.advance(120)
        got = await gateway.get(PULL)

    assert 409 == got.status
    assert f"{digest_of(FIRST)}" in got.json["message"]


async def test_a_move_is_counted_once_and_listed(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(PACKAGE)
    force_push(pushed)
    for target in (PACKAGE, MANIFEST, PULL, PACKAGE):
        gateway.clock.advance(120)
        await gateway.get(target)
    status, listed = await command(gateway, "list", "--moved")

    assert 1 == gateway.total(MOVES)
    assert (0, f"{NAME}  {digest_of(FIRST)}  MOVED to {digest_of(NOW)}\n") == (status, listed)


async def test_accepting_in_another_process_takes_effect_in_a_running_gateway_at_once(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed}, fresh_for="1h")
    for target in (PACKAGE, MANIFEST, PULL):
        await gateway.get(target)
    force_push(pushed)
    gateway.clock.advance(2 * 3600)
    for target in (PACKAGE, MANIFEST, PULL):
        await gateway.get(target)
    status, said = await command(gateway, "accept", NAME)
    pull, manifest, package = [await gateway.get(target) for target in (PULL, MANIFEST, PACKAGE)]

    assert (0, True) == (status, said.startswith(f"{NAME} is now {digest_of(NOW)};"))
    assert NOW == unpacked(pull.body)
    assert digest_of(NOW).hex == shown(manifest.json)["1.0.0"] == shown(package.json)["1.0.0"]
    assert 1 == gateway.total(MOVES)


async def test_what_nobody_has_looked_at_is_not_accepted(start: Start, pushed: Upstream) -> None:
    """Between a look at what it moved to and the command its upstream may say another one."""
    gateway = await start({"up": pushed})
    await seen_to_move(gateway, pushed)
    other, none, one = [
        await command(gateway, "accept", NAME, digest)
        for digest in (str(digest_of(FIRST)), "sha256:short", str(digest_of(NOW)))
    ]

    said = f"error: {NAME} moved to {digest_of(NOW)} by now, which is not {digest_of(FIRST)}; nothing was changed\n"
    assert (1, said) == other
    assert 2 == none[0]
    assert (0, True) == (one[0], one[1].startswith(f"{NAME} is now {digest_of(NOW)};"))


async def test_after_accepting_the_next_move_is_refused_again(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await seen_to_move(gateway, pushed)
    await command(gateway, "accept", NAME)
    await gateway.get(MANIFEST)
    pushed.registry.push("alice/nginx", "1.0.0", "helm", packed(chart("1.0.0", "third")))
    gateway.clock.advance(120)
    got = await gateway.get(MANIFEST)

    assert digest_of(NOW).hex == shown(got.json)["1.0.0"]
    assert 2 == gateway.total(MOVES)


async def test_what_is_held_of_an_accepted_release_is_said_to_be_of_before(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await seen_to_move(gateway, pushed)
    _, before = await command(gateway, "show", NAME)
    await command(gateway, "accept", NAME)
    _, after = await command(gateway, "show", NAME)
    await gateway.get(MANIFEST)
    _, again = await command(gateway, "show", NAME)

    assert f", and moved to {digest_of(NOW)}\n" in before
    assert f"first seen  {digest_of(NOW)}" in after
    assert "which was accepted; what is held is of before, until it is pulled again\n" in after
    assert not [said for said in (before, again) if "of before" in said]


async def test_of_what_moved_it_is_not_said_that_its_owner_confirmed_it(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    _, before = await command(gateway, "show", NAME)
    force_push(pushed)
    gateway.clock.advance(120)
    await gateway.get(MANIFEST)
    _, moved = await command(gateway, "show", NAME)

    assert "  owner       up, which confirmed it last " in before
    assert "confirmed" not in moved
    assert "  owner       up, which says something else, and was asked last " in moved


async def test_of_a_release_without_its_format_it_is_said_which_there_are(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    status, said = await command(gateway, "accept", "up/alice/nginx@1.0.0")

    assert (1, f"error: name the format as well: {NAME}\n") == (status, said)


# --- whoever names no format


ANY = f"{PACKAGE}/1.0.0/-"


def in_another_format(upstream: Upstream) -> None:
    """The release has that one alone from now on, with other content."""
    upstream.registry.delete("alice/nginx", "1.0.0", "helm")
    upstream.registry.push("alice/nginx", "1.0.0", "kpm", packed(NOW))


async def test_a_release_does_not_move_by_having_another_format_instead(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(f"{ANY}/pull")
    in_another_format(pushed)
    gateway.clock.advance(120)
    document, pulled = await gateway.get(ANY), await gateway.get(f"{ANY}/pull")
    _, listed = await command(gateway, "list", "--moved")

    assert {"1.0.0": digest_of(FIRST).hex} == shown(document.json)
    assert FIRST == unpacked(pulled.body)
    assert f"up/alice/nginx@1.0.0/-  {digest_of(FIRST)}  MOVED to {digest_of(NOW)}\n" == listed
    assert 1 == gateway.total(MOVES, upstream="up")


async def test_what_a_release_was_is_said_to_be_in_the_format_that_it_was_in(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    first = await gateway.get(ANY)
    in_another_format(pushed)
    gateway.clock.advance(120)
    document, pulled = await gateway.get(ANY), await gateway.get(f"{ANY}/pull?format=json")
    status, said = await command(gateway, "show", "up/alice/nginx@1.0.0")

    assert first.body == document.body
    assert "helm" == pulled.json["media_type"]
    assert (0, f"{NAME}  {digest_of(FIRST)}") == (status, said.splitlines()[0])
    assert "accepted" not in said


async def test_who_looks_at_it_is_told_of_the_move_and_of_what_was_accepted(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(ANY)
    in_another_format(pushed)
    gateway.clock.advance(120)
    await gateway.get(ANY)
    _, moved = await command(gateway, "show", "up/alice/nginx@1.0.0/-")
    await command(gateway, "accept", "up/alice/nginx@1.0.0/-")
    _, accepted = await command(gateway, "show", "up/alice/nginx@1.0.0/-")

    assert f", and moved to {digest_of(NOW)}\n" in moved
    assert "refused     alice/nginx@1.0.0/-  owner" in moved
    assert f"first seen  {digest_of(NOW)}" in accepted
    assert "which was accepted; what is held is of before, until it is pulled again\n" in accepted


async def test_a_pin_of_the_other_format_does_not_follow_what_stands_without_one(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(ANY)
    in_another_format(pushed)
    other = await gateway.get(f"{PACKAGE}/1.0.0/kpm")
    root = Digest.of(other.body)
    await asyncio.to_thread(gateway.app.ledger.pinned.pin, "up/alice/nginx@1.0.0/kpm", root)
    gateway.clock.advance(120)
    await gateway.get(ANY)

    assert {"up/alice/nginx@1.0.0/kpm": root} == gateway.app.ledger.pinned.pins()


@pytest.mark.parametrize("change", [force_push, in_another_format])
async def test_a_pin_without_a_format_follows_what_was_accepted(
    change: Callable[[Upstream], None], start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    before = Digest.of((await gateway.get(ANY)).body)
    await asyncio.to_thread(gateway.app.ledger.pinned.pin, "up/alice/nginx@1.0.0/-", before)
    change(pushed)
    gateway.clock.advance(120)
    await gateway.get(ANY)
    stood = gateway.app.ledger.pinned.pins()
    _, moved = await command(gateway, "list", "--moved")
    await command(gateway, "accept", moved.split()[0])
    accepted = await gateway.get(ANY)

    assert {"up/alice/nginx@1.0.0/-": before} == stood
    assert digest_of(NOW).hex == shown(accepted.json)["1.0.0"]
    assert {"up/alice/nginx@1.0.0/-": Digest.of(accepted.body)} == gateway.app.ledger.pinned.pins()


async def test_nor_does_one_of_a_format_follow_what_that_moved_to_and_no_format_meant_first(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    root = Digest.of((await gateway.get(MANIFEST)).body)
    await asyncio.to_thread(gateway.app.ledger.pinned.pin, NAME, root)
    in_another_format(pushed)
    await gateway.get(ANY)
    pushed.registry.delete("alice/nginx", "1.0.0", "kpm")
    force_push(pushed)
    gateway.clock.advance(120)
    pulled = await gateway.get(f"{ANY}/pull?format=json")

    assert "helm" == pulled.json["media_type"]
    assert {NAME: root} == gateway.app.ledger.pinned.pins()


async def test_where_the_bytes_of_the_first_format_are_nowhere_the_answer_is_409(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(ANY)
    pushed.registry.blobs.clear()
    in_another_format(pushed)
    gateway.clock.advance(120)
    got = await gateway.get(f"{ANY}/pull")

    assert 409 == got.status
    assert "apprproxy names accept up/alice/nginx@1.0.0/-" in got.json["message"]


@pytest.mark.parametrize("target", [f"{ANY}/pull", PULL, PACKAGE])
async def test_what_was_followed_is_what_stands_when_it_is_followed_no_more(
    target: str, start: Start, pushed: Upstream
) -> None:
    held = await start({"up": pushed})
    await held.get(f"{ANY}/pull")
    follows = await start({"up": pushed}, moved="follow")
    force_push(pushed)
    follows.clock.advance(120)
    await follows.get(target)
    follows.clock.advance(120)

    assert NOW == unpacked((await held.get(f"{ANY}/pull")).body)


async def test_another_format_that_was_followed_stands_as_well(start: Start, pushed: Upstream) -> None:
    held = await start({"up": pushed})
    await held.get(f"{ANY}/pull")
    follows = await start({"up": pushed}, moved="follow")
    in_another_format(pushed)
    follows.clock.advance(120)
    await follows.get(f"{ANY}/pull")
    follows.clock.advance(120)

    assert NOW == unpacked((await held.get(f"{ANY}/pull")).body)


async def test_that_another_format_is_followed_is_told_once(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed}, moved="follow")
    await gateway.get(ANY)
    in_another_format(pushed)
    for _ in range(2):
        gateway.clock.advance(120)
        await gateway.get(ANY)

    assert 1 == gateway.total(MOVES, upstream="up")


async def test_what_was_pulled_first_while_moves_are_followed_stands_when_they_are_no_more(
    start: Start, pushed: Upstream
) -> None:
    follows = await start({"up": pushed}, moved="follow")
    await follows.get(f"{ANY}/pull")
    in_another_format(pushed)
    held = await start({"up": pushed})
    held.clock.advance(120)

    assert FIRST == unpacked((await held.get(f"{ANY}/pull")).body)


async def test_what_moved_back_while_moves_are_followed_is_as_it_was(start: Start, pushed: Upstream) -> None:
    held = await start({"up": pushed})
    await held.get(ANY)
    in_another_format(pushed)
    held.clock.advance(120)
    await held.get(ANY)
    pushed.registry.delete("alice/nginx", "1.0.0", "kpm")
    pushed.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST))
    follows = await start({"up": pushed}, moved="follow")
    follows.clock.advance(120)
    await follows.get(ANY)

    assert not [title for _, title, first in held.app.names.all_first_seen() if first.moved_to]


async def test_nor_by_having_one_instead_whose_name_has_a_slash(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(f"{ANY}/pull")
    force_push(pushed)
    pushed.registry.manifests["alice/nginx", "1.0.0", "helm"]["mediaType"] = "application/kpm"
    gateway.clock.advance(120)

    assert FIRST == unpacked((await gateway.get(f"{ANY}/pull")).body)
    assert 1 == gateway.total(MOVES, upstream="up")


async def test_a_format_that_is_called_like_none_moves_it_once(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(ANY)
    force_push(pushed)
    called = "application/vnd.appr.package-manifest.-.v0.json"
    pushed.registry.manifests["alice/nginx", "1.0.0", "helm"]["mediaType"] = called
    for _ in range(2):
        gateway.clock.advance(120)
        await gateway.get(ANY)
    _, listed = await command(gateway, "list", "--moved")

    assert f"up/alice/nginx@1.0.0/-  {digest_of(FIRST)}  MOVED to {digest_of(NOW)}\n" == listed
    assert 1 == gateway.total(MOVES)


async def test_another_format_can_be_accepted(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(f"{ANY}/pull")
    in_another_format(pushed)
    gateway.clock.advance(120)
    await gateway.get(ANY)
    await command(gateway, "accept", "up/alice/nginx@1.0.0/-")

    assert NOW == unpacked((await gateway.get(f"{ANY}/pull")).body)


async def test_a_release_that_moved_and_is_accepted_is_so_without_its_format(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(ANY)
    force_push(pushed)
    gateway.clock.advance(120)
    before = await gateway.get(f"{ANY}/pull")
    _, listed = await command(gateway, "list", "--moved")
    await command(gateway, "accept", NAME)
    after = await gateway.get(f"{ANY}/pull")

    assert (FIRST, NOW) == (unpacked(before.body), unpacked(after.body))
    assert [NAME] == [line.split()[0] for line in listed.splitlines()], "it is told once"


async def test_what_another_format_of_a_release_is_moves_nothing_that_was_asked_by_name(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    pushed.registry.push("alice/nginx", "1.0.0", "kpm", packed(NOW))
    other = await gateway.get(f"{PACKAGE}/1.0.0/kpm/pull")

    assert NOW == unpacked(other.body)
    assert 0 == gateway.total(MOVES)


@pytest.mark.parametrize("name", ["up/alice/nginx@9.9.9/helm", "up/alice/nginx@0.9.0/helm", "nonsense"])
async def test_what_has_not_moved_cannot_be_accepted(name: str, start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(PACKAGE)
    status, said = await command(gateway, "accept", name)

    assert 1 == status
    assert said.startswith("error: ")
    assert "Traceback" not in said


async def test_a_release_that_moved_back_is_as_it_was(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    await seen_to_move(gateway, pushed)
    pushed.registry.push("alice/nginx", "1.0.0", "helm", packed(FIRST))
    gateway.clock.advance(120)
    await gateway.get(MANIFEST)

    moved = {title: first.moved_to for _, title, first in gateway.app.names.all_first_seen()}
    assert {"alice/nginx@1.0.0/helm": None} == moved


async def test_where_moves_are_followed_the_new_content_is_served_and_the_move_is_counted(
    start: Start, pushed: Upstream
) -> None:
    gateway = await start({"up": pushed}, moved="follow")
    before = await gateway.get(PULL)
    force_push(pushed)
    gateway.clock.advance(120)
    after = await gateway.get(PULL)

    assert (FIRST, NOW) == (unpacked(before.body), unpacked(after.body))
    assert 1 == gateway.total(MOVES, upstream="up")


async def test_what_default_leads_to_is_another_release_and_no_move(start: Start, pushed: Upstream) -> None:
    gateway = await start({"up": pushed})
    before = await gateway.get(f"{PACKAGE}/default/helm")
    pushed.registry.push("alice/nginx", "2.0.0", "helm", packed(chart("2.0.0")))
    gateway.clock.advance(120)
    after = await gateway.get(f"{PACKAGE}/default/helm")

    assert ("1.1.0", "2.0.0") == (before.json["release"], after.json["release"])
    assert 0 == gateway.total(MOVES)


async def test_a_moved_release_is_held_to_its_first_digest_where_default_leads_to_it(
    start: Start, pushed: Upstream
) -> None:
    pushed.registry.delete("alice/nginx", "1.1.0", "helm")
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    force_push(pushed)
    got = await gateway.get(f"{PACKAGE}/default/helm/pull")

    assert FIRST == unpacked(got.body)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.appr.package-manifest.Helm.v0.json",
        "application/vnd.appr.package-manifest.helm.v0.json ",
        "application/vnd.appr.package-manifest.helm.v0+json",
        "helm2",
    ],
)
async def test_a_release_does_not_move_by_answering_as_another_format(
    media_type: str, pushed: Upstream, start: Start
) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(PULL)
    force_push(pushed)
    pushed.registry.manifests["alice/nginx", "1.0.0", "helm"]["mediaType"] = media_type
    gateway.clock.advance(120)
    manifest, pulled = await gateway.get(MANIFEST), await gateway.get(PULL)

    assert digest_of(NOW).hex not in manifest.body.decode()
    assert FIRST == unpacked(pulled.body)


@pytest.mark.parametrize("target", [PACKAGE, f"{PACKAGE}/1.0.0"])
async def test_a_release_that_is_listed_twice_does_not_move(target: str, pushed: Upstream, start: Start) -> None:
    """Of the two, a client might choose the one that moved."""
    gateway = await start({"up": pushed})
    await gateway.get(target)
    first = json.dumps(pushed.registry.manifests["alice/nginx", "1.0.0", "helm"])
    moved = first.replace(digest_of(FIRST).hex, digest_of(NOW).hex)
    pushed.twist = lambda _: Answer(200, f"[{moved},{first}]".encode())
    gateway.clock.advance(120)
    got = await gateway.get(target)

    assert digest_of(NOW).hex not in got.body.decode()
    assert (200, digest_of(FIRST).hex) == (got.status, shown(json.loads(got.body))["1.0.0"])


@pytest.mark.parametrize("field", ['"content"', '"digest"'])
async def test_a_field_that_stands_twice_does_not_show_what_moved(field: str, pushed: Upstream, start: Start) -> None:
    gateway = await start({"up": pushed})
    await gateway.get(MANIFEST)
    now = digest_of(NOW).hex
    besides = {'"content"': f'{{"digest": "{now}"}}', '"digest"': f'"{now}"'}[field]
    first = json.dumps(pushed.registry.manifests["alice/nginx", "1.0.0", "helm"])
    pushed.twist = lambda _: Answer(200, first.replace(field, f"{field}: {besides}, {field}", 1).encode())
    gateway.clock.advance(120)

    assert now not in (await gateway.get(MANIFEST)).body.decode()


@pytest.mark.parametrize("name", ["v1.0", "1.0"])
@pytest.mark.parametrize("media_type", ["helm", "-"])
async def test_a_release_does_not_move_under_the_name_of_another(
    name: str, media_type: str, start: Start, upstream: Upstream
) -> None:
    """One whose name is no version, which its server might take for a range."""
    upstream.registry.push("alice/nginx", name, "helm", packed(FIRST))
    gateway = await start({"up": upstream})
    before = await gateway.get(f"{PACKAGE}/{name}/{media_type}/pull")
    upstream.registry.push("alice/nginx", "1.0.1", "helm", packed(NOW))
    moved = upstream.registry.manifests["alice/nginx", "1.0.1", "helm"]
    upstream.twist = lambda target: as_json(moved) if f"/{name}/" in target else None
    gateway.clock.advance(120)
    after = await gateway.get(f"{PACKAGE}/{name}/{media_type}/pull")

    assert (200, FIRST) == (before.status, unpacked(before.body))
    assert (200, FIRST) == (after.status, unpacked(after.body))


async def test_nor_does_it_as_another_format_of_that_one(start: Start, upstream: Upstream) -> None:
    upstream.registry.push("alice/nginx", "1.0", "helm", packed(FIRST))
    gateway = await start({"up": upstream})
    await gateway.get(f"{PACKAGE}/1.0/-/pull")
    upstream.registry.push("alice/nginx", "1.0.1", "kpm", packed(NOW))
    moved = upstream.registry.manifests["alice/nginx", "1.0.1", "kpm"]
    upstream.twist = lambda target: as_json(moved) if "/1.0/" in target else None
    gateway.clock.advance(120)

    assert FIRST == unpacked((await gateway.get(f"{PACKAGE}/1.0/-/pull")).body)


async def test_a_range_leads_on_as_releases_come(start: Start, upstream: Upstream) -> None:
    gateway, served = await start({"up": upstream}), []
    for release in ("1.0.5", "1.0.6"):
        upstream.registry.push("alice/nginx", release, "helm", packed(chart(release)))
        newest = as_json(upstream.registry.manifests["alice/nginx", release, "helm"])
        upstream.twist = lambda target, newest=newest: newest if "/1.0/" in target else None  # type: ignore[misc]
        served.append(unpacked((await gateway.get(f"{PACKAGE}/1.0/helm/pull")).body))
        gateway.clock.advance(120)

    assert [chart("1.0.5"), chart("1.0.6")] == served
