"""The image: its Dockerfile's steps are carried out, and what they make is run as an engine would run it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from apprproxy import __version__
from tests.shipping import container, wheels
from tests.shipping.container import Container
from tests.shipping.dockerfile import read
from tests.shipping.image import Builder, Image

PROJECT = Path(__file__).parents[2]
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
START = 20.0  # seconds
GET = """
from http.client import HTTPConnection
connection = HTTPConnection("127.0.0.1", 8080, timeout=5)
connection.request("GET", "{page}")
print(connection.getresponse().status)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    container.needed()
    fetched, stages = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("image")
    wheels.fetch(PROJECT, fetched)
    yield Builder(PROJECT, stages, fetched).build(DOCKERFILE)
    for large in (fetched, *stages.glob("*/opt"), *stages.glob("*/build")):
        shutil.rmtree(large)


@pytest.fixture(scope="module")
def running(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    with image.container(tmp_path_factory.mktemp("container")) as running:
        running.start([*image.entrypoint, *image.command])
        _await_health(running, image)
        yield running


def _await_health(running: Container, image: Image) -> None:
    give_up = time.monotonic() + START
    while running.alive() and time.monotonic() < give_up:
        if running.call(*image.health).returncode == 0:
            return
        time.sleep(0.05)
    raise AssertionError(f"the container does not become healthy\n{running.output}")


@pytest.mark.parametrize("page", ["/healthz", "/readyz", "/metrics", "/v2/"])
def test_it_serves_without_being_configured_and_without_a_network(page: str, running: Container) -> None:
    asked = running.call("python", "-c", GET.format(page=page))

    assert "200\n" == asked.stdout, asked.stderr


def test_it_runs_as_a_fixed_user_without_any_privilege(running: Container) -> None:
    facts = running.facts()

    assert "65532 65532 65532 65532" == facts["Uid"]
    assert "65532 65532 65532 65532" == facts["Gid"]
    assert "" == facts["Groups"]
    assert 0 == int(facts["CapEff"], 16) == int(facts["CapBnd"], 16)


def test_the_cache_is_all_that_it_can_write(running: Container, image: Image) -> None:
    kept = running.call("touch", "/var/lib/apprproxy/probe")
    refused = [
        folder
        for folder in ("/", "/etc/apprproxy", "/opt/apprproxy/bin", "/tmp", "/usr/bin")
        if running.call("touch", f"{folder}/probe").returncode != 0
    ]

    assert 0 == kept.returncode, kept.stderr
    assert ["/", "/etc/apprproxy", "/opt/apprproxy/bin", "/tmp", "/usr/bin"] == refused


def test_nothing_that_it_runs_belongs_to_its_user(image: Image) -> None:
    folders = [image.root.folder / name for name in ("opt/apprproxy", "etc/apprproxy")]
    paths = [path for folder in folders for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
    writable = [path for path in paths if path.stat().st_uid != 0 or path.stat().st_mode & 0o022]

    assert len(paths) > 1000
    assert [] == writable


def test_it_is_unhealthy_when_nobody_answers(image: Image, tmp_path: Path) -> None:
    with image.container(tmp_path) as idle:
        idle.start(["sleep", "60"])
        time.sleep(0.2)
        checked = idle.call(*image.health)

    assert 0 != checked.returncode


def test_other_commands_take_the_place_of_serve(image: Image, tmp_path: Path) -> None:
    with image.container(tmp_path) as once:
        once.start([*image.entrypoint, "--version"])
        ended = once.wait()

    assert 0 == ended
    assert f"apprproxy {__version__}\n" == once.output


def test_the_signal_to_stop_ends_it_in_order(image: Image, tmp_path: Path) -> None:
    with image.container(tmp_path) as stopping:
        stopping.start([*image.entrypoint, *image.command])
        _await_health(stopping, image)
        ended = stopping.stop(image.stop)

    assert 0 == ended
    assert '"event": "stopped"' in stopping.output
    assert "Traceback" not in stopping.output


def test_it_holds_neither_an_installer_nor_what_built_the_package(image: Image) -> None:
    [packages] = image.root.folder.glob("opt/apprproxy/lib/python3*/site-packages")
    installed = {path.name.partition("-")[0] for path in packages.glob("*.dist-info")}

    assert {"aiohttp", "apprproxy", "pydantic"} <= installed
    assert not installed & {"pip", "setuptools", "hatchling", "pytest"}


def test_it_says_what_it_is(image: Image) -> None:
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in image.labels.items()}

    assert {"title": "apprproxy", "version": __version__, "licenses": "Apache-2.0"}.items() <= labels.items()
    assert ["8080"] == image.ports
    assert ["/var/lib/apprproxy"] == image.volumes


def test_the_base_image_is_the_builders_choice() -> None:
    steps = read(DOCKERFILE)

    assert "BASE=python:3.11-slim-bookworm" == next(step.rest for step in steps if step.name == "ARG")
    assert {"${BASE}"} == {step.rest.split()[0] for step in steps if step.name == "FROM"}
