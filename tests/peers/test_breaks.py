"""What genuine clients do by themselves when a registry breaks off or lies: docs/clients.md says it, this shows it.

No gateway is between. Where a newer version does otherwise, the page is wrong.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.containerd import CHUNK, Containerd
from tests.peers.faults import Cut, Fault, Faulty, Reset, Shorten, Spoil, Stall
from tests.peers.journey import eventually
from tests.peers.pullers import Skopeo, is_held, wrong

pytestmark = pytest.mark.peers

IMAGE = "images/large:1.0"
HALF = 2 * 1024 * 1024
FROM_HALF = f"bytes={HALF}-"


@pytest.fixture(params=["", "2"], ids=["containerd", "containerd2"])
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Containerd]:
    with Containerd(tmp_path, request.param) as running:
        yield running


@pytest.fixture
def skopeo(tmp_path: Path) -> Skopeo:
    return Skopeo(tmp_path)


def test_containerd_goes_on_where_a_body_was_cut(daemon: Containerd, owner: Faulty, layer: str) -> None:
    owner.inflict(Cut(HALF), layer)
    daemon.fetch(f"{owner.host}/{IMAGE}").ok()

    assert [None, FROM_HALF] == owner.ranges(layer)
    is_held(layer, daemon.held)


def test_containerd_goes_on_as_long_as_anything_comes(daemon: Containerd, owner: Faulty, layer: str) -> None:
    owner.inflict(Cut(HALF // 4), layer, times=8)
    daemon.fetch(f"{owner.host}/{IMAGE}").ok()

    assert 9 == len(owner.ranges(layer))
    is_held(layer, daemon.held)


def test_containerd_asks_three_times_more_where_nothing_comes(daemon: Containerd, owner: Faulty, layer: str) -> None:
    owner.inflict(Cut(HALF), layer)
    owner.inflict(Cut(0), layer, times=9)
    failed = daemon.fetch(f"{owner.host}/{IMAGE}")

    assert 0 != failed.status
    assert [None, FROM_HALF, FROM_HALF, FROM_HALF] == owner.ranges(layer)


def test_containerd_gives_up_at_once_on_a_reset(daemon: Containerd, owner: Faulty, layer: str) -> None:
    owner.inflict(Reset(HALF), layer)
    failed = daemon.fetch(f"{owner.host}/{IMAGE}")

    assert 0 != failed.status
    assert "connection reset by peer" in failed.err
    assert [None] == owner.ranges(layer)


def test_containerd_begins_anew_soon_after_a_pull_of_wrong_bytes(daemon: Containerd, owner: Faulty, layer: str) -> None:
    owner.inflict(Spoil(HALF), layer)
    failed = daemon.fetch(f"{owner.host}/{IMAGE}")

    assert 0 != failed.status
    assert "unexpected commit digest" in failed.err
    assert [None] == owner.ranges(layer)
    assert layer not in daemon.held
    assert {} == wrong(daemon.held)

    # what it received is not asked for again until it has cleared it away, a moment after the pull
    eventually(lambda: daemon.fetch(f"{owner.host}/{IMAGE}").ok())

    assert [None, None] == owner.ranges(layer)
    is_held(layer, daemon.held)


def test_containerd_asks_again_for_a_body_that_is_too_short(daemon: Containerd, owner: Faulty, layer: str) -> None:
    owner.inflict(Shorten(HALF), layer)
    eventually(lambda: daemon.fetch(f"{owner.host}/{IMAGE}").ok())  # 1.6 in the next pull

    assert 2 == len(owner.ranges(layer))
    is_held(layer, daemon.held)


def test_what_a_killed_pull_left_is_kept_and_gone_on_from_right_or_wrong(
    daemon: Containerd, owner: Faulty, layer: str
) -> None:
    owner.inflict(Stall(HALF), layer)
    daemon.fetch_until(f"{owner.host}/{IMAGE}", HALF)
    owner.inflict(Spoil(0), layer)
    failed = [daemon.fetch(f"{owner.host}/{IMAGE}") for _ in range(3)]

    assert [1, 1, 1] == [one.status for one in failed]
    assert all("unexpected commit digest" in one.err for one in failed)
    assert [None, FROM_HALF] == owner.ranges(layer), "the last two pulls did not even ask"
    assert {} == wrong(daemon.held)


def test_a_parallel_fetch_goes_on_where_its_first_piece_was_cut(owner: Faulty, layer: str, tmp_path: Path) -> None:
    owner.inflict(Cut(CHUNK // 2), layer)
    with Containerd(tmp_path, "2") as daemon:
        daemon.fetch_in_parallel(f"{owner.host}/artifacts/large:1.0").ok()

        assert "bytes=0-" == owner.ranges(layer)[0]
        assert f"bytes={CHUNK // 2}-" in owner.ranges(layer)
        is_held(layer, daemon.held)


@pytest.mark.parametrize("fault", [Cut(HALF), Spoil(HALF), Shorten(HALF)], ids=lambda fault: type(fault).__name__)
def test_skopeo_gives_up_at_once_even_where_it_is_to_retry(
    fault: Fault, skopeo: Skopeo, owner: Faulty, layer: str
) -> None:
    owner.inflict(fault, layer)
    failed = skopeo.fetch(f"{owner.host}/{IMAGE}", "--retry-times", "2")

    assert 0 != failed.status
    assert [None] == owner.ranges(layer)
    assert layer not in skopeo.held
    assert {} == wrong(skopeo.held)

    skopeo.fetch(f"{owner.host}/{IMAGE}").ok()

    assert [None, None] == owner.ranges(layer)
    is_held(layer, skopeo.held)


def test_skopeo_begins_anew_after_a_reset_where_it_is_to_retry(skopeo: Skopeo, owner: Faulty, layer: str) -> None:
    owner.inflict(Reset(HALF), layer)
    skopeo.fetch(f"{owner.host}/{IMAGE}", "--retry-times", "2").ok()

    assert [None, None] == owner.ranges(layer)
    is_held(layer, skopeo.held)
