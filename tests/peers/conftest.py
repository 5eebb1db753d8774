"""The genuine servers, filled once a session; gateways for each test; what they wrote, in the report of a failure."""

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack

import pytest

from tests.peers import seeds, servers
from tests.peers.containerd import Containerd
from tests.peers.faults import Faulty, faulty
from tests.peers.gateway import Gateways
from tests.peers.journey import Upstream
from tests.peers.process import Process
from tests.peers.pullers import Puller, Skopeo

TAIL = 4000  # characters of each log in a failure's report


@pytest.fixture(scope="session")
def upstreams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Upstream]]:
    """By name: distribution, olareg, appr, cnr; started and filled when first asked for."""
    known: dict[str, Upstream] = {}
    with ExitStack() as running:

        def upstream(name: str) -> Upstream:
            if name not in known:
                server: Process = getattr(servers, name)(tmp_path_factory.mktemp(name))
                fill = seeds.fill_app_registry_whole if name in {"appr", "cnr"} else seeds.fill_oci
                with ExitStack() as filling:
                    filling.enter_context(server)
                    known[name] = Upstream(server, fill(server, tmp_path_factory.mktemp("seed")))
                    running.push(filling.pop_all())
            return known[name]

        yield upstream


@pytest.fixture
def upstream(request: pytest.FixtureRequest, upstreams: Callable[[str], Upstream]) -> Upstream:
    """The one that the test's parameter names."""
    return upstreams(request.param)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    """A distribution registry whose blobs take a moment; the digest of the largest is `layer`."""
    with servers.distribution(tmp_path_factory.mktemp("large")) as server:
        yield Upstream(server, seeds.fill_large(server, tmp_path_factory.mktemp("seed")))


@pytest.fixture
def layer(large: Upstream) -> str:
    return large.digests["layer"]


@pytest.fixture
def owner(large: Upstream) -> Iterator[Faulty]:
    """The same registry, with what a test puts between."""
    with faulty(large.server.host) as between:
        yield between


@pytest.fixture(params=["containerd", "containerd2", "skopeo"])
def puller(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Puller]:
    """Each of those that pull images, with nothing pulled yet."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "skopeo":
        yield Skopeo(folder)
    else:
        with Containerd(folder, request.param.removeprefix("containerd")) as running:
            yield running


@pytest.fixture
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    """All of them end with exit status 0."""
    several = Gateways(lambda: tmp_path_factory.mktemp("gateway"))
    try:
        yield several
    finally:
        ended = several.close()
    assert [0] * len(ended) == ended


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for process in _involved(item):
            report.sections.append((f"output of {process.name}", process.output[-TAIL:]))
    return report


def _involved(item: pytest.Item) -> Iterator[Process]:
    for value in getattr(item, "funcargs", {}).values():
        match value:
            case Process():
                yield value
            case Upstream():
                yield value.server
            case Gateways():
                yield from value.started
