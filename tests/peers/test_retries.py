"""Bytes that come wrong or break off half way reach no genuine client as anything but the right ones, soon after."""

import pytest

from tests.peers.faults import Cut, Fault, Faulty, Reset, Shorten, Spoil, Stall, faulty
from tests.peers.gateway import Gateways
from tests.peers.journey import Upstream, eventually
from tests.peers.pullers import Puller, is_held, wrong

pytestmark = pytest.mark.peers

IMAGE = "hub/images/large:1.0"
HALF = 2 * 1024 * 1024
LIES = [Spoil(HALF), Shorten(HALF)]
BREAKS = [Cut(HALF), Reset(HALF), Stall(HALF)]


def _kind(fault: Fault) -> str:
    return type(fault).__name__.lower()


@pytest.mark.parametrize("lie", LIES, ids=_kind)
def test_a_lie_of_the_owner_is_a_clean_failure_and_the_next_pull_is_right(
    lie: Fault, puller: Puller, owner: Faulty, layer: str, gateways: Gateways
) -> None:
    owner.inflict(lie, layer)
    gateway = gateways.start({"hub": {"kind": "oci", "url": owner.url, "missing_for": "1s"}})
    with faulty(gateway.host) as asked:
        refused = puller.fetch(f"{asked.host}/{IMAGE}")

    assert 0 != refused.status
    assert {502} == asked.statuses(layer), "a status, and not a broken connection"
    assert layer not in puller.held
    assert layer not in gateway.kept
    assert {} == wrong(puller.held)

    eventually(lambda: puller.fetch(f"{gateway.host}/{IMAGE}").ok())  # it is remembered for `missing_for`

    is_held(layer, puller.held)
    eventually(lambda: is_held(layer, gateway.kept))  # a client may have its bytes a moment before they are kept


@pytest.mark.parametrize("broken", BREAKS, ids=_kind)
def test_what_broke_off_is_gone_on_from_and_not_begun_anew(
    broken: Fault, puller: Puller, owner: Faulty, layer: str, gateways: Gateways
) -> None:
    owner.inflict(broken, layer)
    gateway = gateways.start({"hub": {"kind": "oci", "url": owner.url, "timeouts": {"read": "1s"}}})
    eventually(lambda: puller.fetch(f"{gateway.host}/{IMAGE}").ok())

    is_held(layer, puller.held)
    eventually(lambda: is_held(layer, gateway.kept))
    whole, rest = owner.ranges(layer)
    assert whole is None
    # a reset takes along what had arrived and was not read yet
    assert rest is not None or isinstance(broken, Reset), "what was there already was fetched again"


def test_no_client_notices_that_the_owner_broke_off(
    puller: Puller, owner: Faulty, layer: str, gateways: Gateways
) -> None:
    owner.inflict(Cut(HALF), layer)
    gateway = gateways.start({"hub": {"kind": "oci", "url": owner.url}})
    with faulty(gateway.host) as asked:
        pulled = puller.fetch(f"{asked.host}/{IMAGE}")

    assert 0 == pulled.status, pulled.err
    assert [None] == asked.ranges(layer)
    is_held(layer, puller.held)


@pytest.mark.parametrize("fault", [*LIES, Cut(HALF), Stall(HALF)], ids=_kind)
def test_no_client_notices_a_mirror_that_lies_or_breaks_off(
    fault: Fault, puller: Puller, large: Upstream, owner: Faulty, layer: str, gateways: Gateways
) -> None:
    with faulty(large.server.host) as mirror:
        mirror.inflict(fault, layer)
        mirrors = [{"url": mirror.url, "kind": "oci"}]
        hub = {"kind": "oci", "url": owner.url, "mirrors": mirrors, "timeouts": {"read": "1s"}}
        gateway = gateways.start({"hub": hub})
        with faulty(gateway.host) as asked:
            pulled = puller.fetch(f"{asked.host}/{IMAGE}")

    assert 0 == pulled.status, pulled.err
    assert [None] == asked.ranges(layer)
    assert [None] == mirror.ranges(layer)
    assert 1 == len(owner.ranges(layer))
    is_held(layer, puller.held)
    eventually(lambda: is_held(layer, gateway.kept))
