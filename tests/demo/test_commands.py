"""The commands that the demo prints do with genuine clients what it says they do."""

import shlex
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.demo.process import READY, Demo, started
from tests.peers.clients import Ran, run

pytestmark = pytest.mark.peers

CLIENTS = {"helm3": "helm", "helm4": "helm", "crane": "crane", "oras": "oras", "appr": "appr", "curl": "curl"}


@dataclass(frozen=True, slots=True)
class Printed:
    heading: str
    words: list[str]

    @property
    def shows_a_lie(self) -> bool:
        return self.heading.startswith("# A lie")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with started(tmp_path_factory.mktemp("demo")) as running:
        running.printed(READY)
        yield running
        running.child.send_signal(signal.SIGINT)
        assert running.ended() == 0
        assert running.err == ""


def printed(demo: Demo, command: str) -> list[Printed]:
    heading, found = "", []
    for line in demo.out.splitlines():
        if line.startswith("# "):
            heading = line
        elif heading and line.startswith(f"  {command} "):
            found.append(Printed(heading, shlex.split(line)[1:]))
    return found


def ran(client: str, demo: Demo, *, lies: bool) -> dict[str, Ran]:
    """What came of each printed command, by its words."""
    commands = [one.words for one in printed(demo, CLIENTS[client]) if one.shows_a_lie is lies]
    assert commands, "none is printed"
    return {" ".join(words): run(client, *words) for words in commands}


@pytest.mark.parametrize("client", CLIENTS)
def test_each_printed_command_works(client: str, demo: Demo) -> None:
    for command, done in ran(client, demo, lies=False).items():
        assert done.ok().out or done.err or done.files, f"{command} shows nothing"


@pytest.mark.parametrize("helm", ["helm3", "helm4"])
def test_helm_pulls_and_shows_the_chart(helm: str, demo: Demo) -> None:
    done = ran(helm, demo, lies=False)

    assert [["demo-0.1.0.tgz"]] == [list(one.files) for one in done.values() if one.files]
    assert any("name: demo" in one.out for one in done.values())


def test_appr_lists_the_packages_and_pulls_what_the_channel_names(demo: Demo) -> None:
    done = ran("appr", demo, lies=False)

    assert any("alice/nginx" in one.out and "bob/app" in one.out for one in done.values())
    assert any("alice_nginx_0.2.0" in name for one in done.values() for name in one.files)


def test_oras_finds_the_signature(demo: Demo) -> None:
    assert any("signature" in one.out for one in ran("oras", demo, lies=False).values())


@pytest.mark.parametrize("client", ["helm3", "helm4"])
def test_a_lie_reaches_no_client(client: str, demo: Demo) -> None:
    for command, done in ran(client, demo, lies=True).items():
        assert done.status != 0, command
        assert "liar: sent bytes with digest" in done.err
        assert not done.files


def test_a_stranger_with_nothing_but_curl_sees_it_too(demo: Demo) -> None:
    assert all(" 502 " in one.out for one in ran("curl", demo, lies=True).values())
    assert any("Cache-Status: apprproxy" in one.out for one in ran("curl", demo, lies=False).values())
    assert any(
        'apprproxy_digest_mismatches_total{source="owner",upstream="liar"}' in one.out
        for one in ran("curl", demo, lies=False).values()
    )
