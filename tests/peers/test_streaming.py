"""What a genuine client makes of a transfer that goes wrong when it has begun to receive it (docs/clients.md).

The bytes before the fault leave the owner a moment earlier than the fault, so that they stream.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.containerd import Containerd
from tests.peers.faults import Cut, Faulty, Spoil, faulty
from tests.peers.gateway import Gateway, Gateways
from tests.peers.journey import eventually
from tests.peers.pullers import Puller, is_held, wrong

pytestmark = pytest.mark.peers

IMAGE = "hub/images/large:1.0"
HALF = 2 * 1024 * 1024
STREAM = {"patience": "0s", "stream": "owner"}
LATE = 1.0  # seconds


@pytest.fixture
def gateway(owner: Faulty, gateways: Gateways) -> Gateway:
    return gateways.start({"hub": {"kind": "oci", "url": owner.url, "missing_for": "1s"}}, delivery=STREAM)


@pytest.fixture
def asked(gateway: Gateway) -> Iterator[Faulty]:
    """What the client asks the gateway for."""
    with faulty(gateway.host) as between:
        yield between


def test_after_a_lie_a_client_fails_holds_nothing_wrong_and_succeeds_soon(
    puller: Puller, owner: Faulty, asked: Faulty, layer: str, gateway: Gateway
) -> None:
    owner.inflict(Spoil(HALF), layer, late=LATE)
    refused = puller.fetch(f"{asked.host}/{IMAGE}")

    assert 0 != refused.status
    assert 200 in asked.statuses(layer), "it had not begun to stream"
    assert layer not in puller.held
    assert layer not in gateway.kept
    assert {} == wrong(puller.held)

    eventually(lambda: puller.fetch(f"{asked.host}/{IMAGE}").ok())
    eventually(lambda: is_held(layer, gateway.kept))
    is_held(layer, puller.held)


def test_what_the_owner_broke_off_is_gone_on_from_and_not_begun_anew(
    puller: Puller, owner: Faulty, asked: Faulty, layer: str, gateway: Gateway
) -> None:
    owner.inflict(Cut(HALF), layer, late=LATE)
    eventually(lambda: puller.fetch(f"{asked.host}/{IMAGE}").ok())

    is_held(layer, puller.held)
    eventually(lambda: is_held(layer, gateway.kept))
    whole, rest = owner.ranges(layer)
    assert whole is None
    assert rest is not None, "what was there already was fetched again"


def test_containerd_goes_on_by_itself_where_the_owner_broke_off(
    owner: Faulty, asked: Faulty, layer: str, gateway: Gateway, tmp_path: Path
) -> None:
    owner.inflict(Cut(HALF), layer, late=LATE)
    with Containerd(tmp_path) as daemon:
        daemon.fetch(f"{asked.host}/{IMAGE}").ok()

        is_held(layer, daemon.held)
    assert asked.ranges(layer)[0] is None
    assert 2 == len(owner.ranges(layer))
