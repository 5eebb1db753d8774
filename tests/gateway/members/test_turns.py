"""However many digests are asked for at once, files, descriptors and memory are bounded."""

import asyncio
import os
from collections.abc import Coroutine, Iterable

import pytest
from aiohttp import web

from apprproxy.core.errors import StoreFailed
from apprproxy.gateway import turnstile
from apprproxy.gateway.flights import guest, pace, shares, slots
from apprproxy.gateway.turnstile import Turnstile
from apprproxy.gateway.waits import either
from tests.fakes import lies
from tests.fakes.clock import PATIENCE, Gate, until
from tests.fakes.content import digest
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry

MANY = 95
LAYER = b"layer"
CONNECTIONS = 32
"""Of an upstream, where its section does not say."""


def paths(count: int, upstream: str = "hub") -> list[str]:
    contents = [f"{upstream} {number}".encode() for number in range(count)]
    return [f"/v2/{upstream}/library/app/blobs/{digest(content)}" for content in contents]


async def leave_after_asking(gateway: Running, count: int, upstream: str = "hub") -> None:
    """Clients that ask for different blobs, and are gone."""
    before = gateway.metric("apprproxy_flights")
    asking = [asyncio.create_task(gateway.get(path)) for path in paths(count, upstream)]
    await until(lambda: gateway.metric("apprproxy_flights") >= before + count)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_transfers_that_wait_their_turn_hold_no_file(registry: Registry, gateways: Gateways) -> None:
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry})
    before = len(os.listdir("/proc/self/fd"))
    await leave_after_asking(gateway, MANY)
    await gate.reached()
    parts, open_files = len(gateway.ingests), len(os.listdir("/proc/self/fd")) - before
    gate.open()
    await gateway.at_rest()

    assert parts <= CONNECTIONS
    assert open_files < 2 * MANY + 3 * CONNECTIONS, "the clients' own connections, and three for each that has its turn"
    assert [] == gateway.ingests


async def test_what_nobody_waits_for_any_more_comes_after_what_somebody_waits_for(
    registry: Registry, gateways: Gateways
) -> None:
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": oci(registry, connections=1)})
    await leave_after_asking(gateway, 6)
    await until(lambda: registry.count("GET blob") == 1)
    wanted = f"/v2/hub/library/app/blobs/{registry.add_blob('library/app', b'wanted')}"
    asking = asyncio.create_task(gateway.get(wanted))
    flying = gateway.app.gateway._blobs._flights._flights
    await until(
        lambda: [digest(b"wanted")] == [key for key, flights in flying.items() if flights["hub",].candidates.wanted]
    )
    gate.open()
    got = await asking
    await gateway.at_rest()
    order = [seen.target.rpartition("/")[2] for seen in registry.seen]

    assert (200, b"wanted") == (got.status, got.body)
    assert 1 == order.index(digest(b"wanted")), "after the one that was under way"
    assert 7 == len(order), "and the others after it"


async def test_what_somebody_waits_for_behind_another_transfer_keeps_that_ones_turn(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """A view's client asked and left; an upstream's own client, who came then, comes before whoever comes later."""
    gate, order = Gate(), list[str]()

    async def noted(request: web.BaseRequest, honest: lies.Honest) -> web.StreamResponse:
        order.append(request.path.rpartition("/")[2])
        if len(order) == 1:
            await gate()
        return await lies.honestly(request, honest)

    registry.on["GET blob"] = noted
    first, wanted, *others = [registry.add_blob("library/app", b"%d" % number) for number in range(5)]
    gateway = await gateways.start({"far": other, "hub": oci(registry, connections=1)}, views={"both": ["far", "hub"]})
    asking = [asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{first}"))]
    await gate.reached()
    left = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{wanted}"))
    await until(lambda: other.count("GET blob") == 1 and gateway.metric("apprproxy_flights_waiting") == 1)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    asking.append(asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{wanted}")))
    await until(lambda: gateway.metric("apprproxy_flights") == 3)
    asking += [asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{one}")) for one in others]
    await until(lambda: gateway.metric("apprproxy_flights") == 3 + len(others))
    gate.open()
    answers = await asyncio.gather(*asking)

    assert {200} == {got.status for got in answers}
    assert [first, wanted] == order[:2]


async def test_a_transfer_takes_the_turn_of_whichever_upstream_has_room(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs must not keep what another has as well from its clients."""
    monkeypatch.setattr(guest, "LOOK", 0.1)
    registry.on["blob"] = lies.waiting_for(Gate())
    wanted = other.add_blob("library/app", b"wanted")
    gateway = await gateways.start({"hub": oci(registry, connections=2), "far": other})
    await leave_after_asking(gateway, 2)
    asking = asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{wanted}"))
    await until(lambda: gateway.metric("apprproxy_flights") == 3)
    got = await gateway.get(f"/v2/far/library/app/blobs/{wanted}")
    asking.cancel()

    assert (200, b"wanted") == (got.status, got.body)


async def test_whose_turn_came_as_it_left_gives_it_back() -> None:
    gate = Turnstile(1)
    async with gate.turn():
        waiting = [asyncio.create_task(_once(gate)) for _ in range(2)]
        await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert not gate.full


async def test_no_turn_comes_to_who_has_just_left() -> None:
    gate = Turnstile(1)
    async with gate.turn():
        waiting = [asyncio.create_task(_once(gate)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert not gate.full


async def test_who_comes_as_the_last_one_that_waits_leaves_has_the_free_place() -> None:
    gate, ends = Turnstile(1), asyncio.Event()

    async def first() -> None:
        async with gate.turn():
            await ends.wait()

    begun = [asyncio.create_task(first()), asyncio.create_task(_once(gate))]
    await asyncio.sleep(0)
    ends.set()
    third = asyncio.create_task(_once(gate))
    begun[1].cancel()
    async with asyncio.timeout(1):
        await asyncio.gather(*begun, third, return_exceptions=True)

    assert not gate.full


async def _left(gate: Turnstile, count: int, asked: list[int]) -> list[asyncio.Task[None]]:
    """So many in the queue for whom nobody waits; ``asked`` has whom that was asked of."""

    def nobody(number: int) -> bool:
        asked.append(number)
        return False

    async def once(number: int) -> None:
        async with gate.turn(lambda: nobody(number)):
            pass

    tasks = [asyncio.create_task(once(number)) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_thousands_for_whom_nobody_waits_are_not_looked_at_for_each_place_that_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of an upstream that is shut they end one after the other: the square of their number took seconds."""
    monkeypatch.setattr(turnstile, "LOOK_AGAIN", 3600.0)
    gate, asked = Turnstile(1), list[int]()
    async with gate.turn():
        waiting = await _left(gate, 1000, asked)
    await asyncio.gather(*waiting)

    assert [*range(1000)] == asked
    assert not gate.full


@pytest.mark.parametrize(("again", "order"), [(0.0, [1, 0]), (3600.0, [0, 1])])
async def test_for_whom_somebody_waits_again_comes_first_once_it_is_looked_at_again(
    again: float, order: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turnstile, "LOOK_AGAIN", again)

    assert [3, *(2 * number for number in order)] == await in_turn((3, 0, 2), set(), later=2)


async def test_for_whom_somebody_waits_again_comes_before_who_came_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turnstile, "LOOK_AGAIN", 0.0)

    assert [1, 0, 2] == await in_turn(range(3), {1, 2}, later=0)


async def in_turn(numbers: Iterable[int], wanted: set[int], *, later: int) -> list[int]:
    """In which order they have a turn, where ``later`` is wanted once one has had it."""
    gate, had = Turnstile(1), list[int]()

    async def once(number: int) -> None:
        async with gate.turn(lambda: number in wanted):
            had.append(number)
            wanted.add(later)
            await asyncio.sleep(0)

    async with gate.turn():
        waiting = [asyncio.create_task(once(number)) for number in numbers]
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    return had


async def test_who_was_put_by_and_leaves_gives_back_no_place() -> None:
    gate, ends = Turnstile(1), asyncio.Event()

    async def holds() -> None:
        async with gate.turn():
            await ends.wait()

    async with gate.turn():
        put_by = await _left(gate, 1, [])
        holding = asyncio.create_task(holds())
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    put_by[0].cancel()
    await asyncio.wait(put_by)
    full = gate.full
    ends.set()
    await holding

    assert full
    assert not gate.full


async def test_who_waits_in_the_only_queue_there_is_does_not_look_for_another(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand that an upstream kept waiting looked twice a second, which took half a processor."""
    gate, looks = Gate(), set[float | None]()

    async def noted(task: asyncio.Future[None], changed: Coroutine[None, None, object], seconds: float | None) -> None:
        looks.add(seconds)
        await either(task, changed, seconds)

    monkeypatch.setattr(slots, "either", noted)
    registry.on["blob"] = other.on["blob"] = lies.waiting_for(gate)
    views = {"both": ["hub", "far"]}
    hub, far = oci(registry, connections=1), oci(other, connections=1)
    gateway = await gateways.start({"hub": hub, "far": far}, views=views)
    await leave_after_asking(gateway, 6)
    alone = set(looks)
    occupied = asyncio.create_task(gateway.get(f"/v2/far/library/app/blobs/{digest(b'far')}"))
    await until(lambda: other.count("GET blob") == 1)
    both = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{digest(b'both')}"))
    await until(lambda: len(looks) == 2)
    gate.open()
    await asyncio.gather(occupied, both)
    await gateway.at_rest()

    assert {None} == alone
    assert {None, slots.ROOM_AGAIN} == looks


async def _once(gate: Turnstile) -> None:
    async with gate.turn():
        pass


async def test_too_many_transfers_of_an_upstream_are_refused_for_a_while_and_none_of_another(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "IN_ALL", 12)
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry, "far": other})
    await leave_after_asking(gateway, 3)
    refused = await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'one more')}")
    far = await gateway.get(f"/v2/far/library/app/blobs/{other.add_blob('library/app', b'far')}")
    gate.open()

    assert 200 == far.status
    assert 503 == refused.status
    assert "Retry-After" in refused.headers
    assert "too many transfers" in refused.message


async def test_too_many_transfers_of_one_member_keep_a_view_from_no_other(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "IN_ALL", 16)
    monkeypatch.setattr(pace, "LOOK", 0.1)
    gate = Gate()
    registry.on["blob"] = other.on["GET blob"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry, "far": other}, views={"both": ["hub", "far"]})
    await leave_after_asking(gateway, 4)
    made_up = [f"/v2/both/library/app/blobs/{digest(b'not there %d' % number)}" for number in range(3)]
    asking = [asyncio.create_task(gateway.get(path)) for path in made_up[:2]]
    await until(lambda: other.count("GET blob") == 2)
    refused = await gateway.get(made_up[2])
    other.on["GET blob"] = lies.honestly
    far = await gateway.get(f"/v2/far/library/app/blobs/{other.add_blob('library/app', b'far')}")
    gate.open()
    answers = await asyncio.gather(*asking)

    assert [404, 404] == [got.status for got in answers], "far was asked for them, as hub had no room for more"
    assert 503 == refused.status, "they have half of the room that far has"
    assert 200 == far.status, "which is not kept from its own clients"


async def test_blobs_that_hang_leave_room_for_documents(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "IN_ALL", 40)
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    pushed = registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": registry})
    await leave_after_asking(gateway, 8)
    blob = await gateway.get(f"/v2/hub/library/app/blobs/{digest(b'one more')}")
    document = await gateway.get(f"/v2/hub/library/app/manifests/{digest(pushed)}")
    gate.open()

    assert [503, 200] == [blob.status, document.status]


async def beside_four_that_hang(
    registry: Registry, other: Registry, gateways: Gateways, counts: dict[str, int], last: str
) -> list[int]:
    """The statuses of one more of the ``last``, once each has so many transfers, and of one from whoever does not."""
    gate = Gate()
    registry.on["blob"] = lies.waiting_for(gate)
    hostile = {f"hub{number}": oci(registry) for number in range(4)}
    gateway = await gateways.start({**hostile, "far": other}, views={"both": ["hub0", "far"]})
    for upstream, count in counts.items():
        await leave_after_asking(gateway, count, upstream)
    one_more = await gateway.get(f"/v2/{last}/library/app/blobs/{digest(b'one more')}")
    far = await gateway.get(f"/v2/far/library/app/blobs/{other.add_blob('library/app', b'far')}")
    gate.open()
    return [one_more.status, far.status]


async def test_however_many_transfers_others_have_an_upstream_has_room_for_its_own(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "IN_ALL", 8)
    monkeypatch.setattr(shares, "ITS_OWN", 2)
    counts = {f"hub{number}": 2 for number in range(4)}

    assert [503, 200] == await beside_four_that_hang(registry, other, gateways, counts, "hub0")


async def test_what_others_have_counted_in_its_share_leaves_an_upstream_room_for_its_own(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a view a transfer whose first member has no room is counted as the next one's, and waits for both."""
    monkeypatch.setattr(shares, "IN_ALL", 16)
    monkeypatch.setattr(shares, "ITS_OWN", 2)
    counts = {"hub0": 4, "both": 2, "hub1": 4, "hub2": 4, "hub3": 2}

    assert [503, 200] == await beside_four_that_hang(registry, other, gateways, counts, "both")


async def test_transfers_that_have_ended_count_no_more(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "IN_ALL", 8)
    gateway = await gateways.start({"hub": registry})
    statuses = []
    for number in range(4):
        wanted = registry.add_blob("library/app", b"%d" % number)
        statuses.append((await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")).status)
        await gateway.at_rest()

    assert [200] * 4 == statuses


async def test_a_transfer_in_a_queue_takes_the_room_of_another_upstream_that_gets_free(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guest, "LOOK", 0.1)
    hangs, busy = Gate(), Gate()
    registry.on["blob"] = lies.waiting_for(hangs)
    other.on["blob"] = lies.waiting_for(busy)
    wanted = other.add_blob("library/app", b"wanted")
    gateway = await gateways.start({"hub": oci(registry, connections=1), "far": oci(other, connections=1)})
    asking = [asyncio.create_task(gateway.get(paths(1)[0]))]
    asking.append(asyncio.create_task(gateway.get(f"/v2/far/library/app/blobs/{digest(b'x')}")))
    await until(lambda: (1, 1) == (registry.count("GET blob"), other.count("GET blob")))
    asking.append(asyncio.create_task(gateway.get(f"/v2/hub/library/app/blobs/{wanted}")))
    await until(lambda: gateway.metric("apprproxy_flights") == 3)
    waiting = asyncio.create_task(gateway.get(f"/v2/far/library/app/blobs/{wanted}"))
    await until(lambda: other.count("HEAD blob") == 1)
    busy.open()
    got = await waiting
    hangs.open()
    await asyncio.gather(*asking)

    assert (200, b"wanted") == (got.status, got.body)


async def test_metrics_are_told_while_the_index_cannot_be_read(
    registry: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await gateways.start({"hub": registry})

    def unreadable() -> None:
        raise StoreFailed("the cache's index failed: disk I/O error")

    monkeypatch.setattr(gateway.app.ledger, "totals", unreadable)
    told = await gateway.get("/metrics")

    assert 200 == told.status
    assert b"apprproxy_cache_blobs NaN" in told.body


async def test_a_transfer_that_goes_on_to_another_member_gives_its_place_back(
    registry: Registry, other: Registry, gateways: Gateways
) -> None:
    """What the first one lacks the second sends at its leisure: that must not take the first one's places."""
    hangs = Gate()
    other.on["GET blob"] = lies.waiting_for(hangs)
    gateway = await gateways.start(
        {"hub": oci(registry, connections=2), "evil": oci(other, connections=4)}, views={"all": ["hub", "evil"]}
    )
    made_up = [path.replace("hub", "all") for path in paths(6)]
    attack = [asyncio.create_task(gateway.get(path)) for path in made_up]
    await until(lambda: other.count("GET blob") == 4)
    wanted = registry.add_blob("library/app", b"wanted")
    got = await gateway.get(f"/v2/hub/library/app/blobs/{wanted}")
    hangs.open()
    lacking = await asyncio.gather(*attack)

    assert (200, b"wanted") == (got.status, got.body)
    assert {404} == {one.status for one in lacking}


async def test_a_view_that_a_slow_member_keeps_waiting_stands_in_the_queue_of_a_busy_one(
    registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody always does, so that there is never room at once; and who is silent always has some."""
    monkeypatch.setattr(pace, "LOOK", 0.6)
    wanted, gate = registry.add_blob("library/app", b"wanted"), Gate()
    registry.on["GET blob"] = lies.in_turn(lies.waiting_for(gate), lies.honestly)
    other.on["GET blob"] = lies.late(60)
    gateway = await gateways.start(
        {"hub": oci(registry, connections=1), "evil": other}, views={"both": ["hub", "evil"]}
    )
    own = [asyncio.create_task(gateway.get(path)) for path in paths(2)]
    await gate.reached()
    asking = asyncio.create_task(gateway.get(f"/v2/both/library/app/blobs/{wanted}"))
    await until(lambda: other.count("GET blob") == 1)
    await until(lambda: gateway.metric("apprproxy_flights_waiting") == 2)
    own += [asyncio.create_task(gateway.get(path)) for path in paths(5)[2:]]
    await until(lambda: gateway.metric("apprproxy_flights_waiting") == 5)
    gate.open()
    got = await asking
    await asyncio.gather(*own)
    order = [seen.target.rpartition("/")[2] for seen in registry.seen]

    assert (200, b"wanted") == (got.status, got.body)
    assert 2 == order.index(wanted), "before those who came later"
    assert 1 == other.count("GET blob")


# --- whoever has it by another's transfer stands in no queue


@pytest.mark.parametrize("kind", ["manifests", "blobs"])
async def test_what_another_upstream_has_brought_waits_in_no_queue(
    kind: str, registry: Registry, other: Registry, gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a tag's manifest the tag itself would wait for that queue, until it is told that its upstream is silent."""
    monkeypatch.setattr(guest, "LOOK", 0.2)
    manifest = registry.push("library/app", "1.0", LAYER)
    wanted, path = (manifest, "manifests/1.0") if kind == "manifests" else (LAYER, f"blobs/{digest(LAYER)}")
    gate = Gate()
    other.on[f"GET {kind[:-1]}"] = lies.waiting_for(gate)
    gateway = await gateways.start({"hub": registry, "evil": oci(other, connections=1)})
    theirs = [f"/v2/evil/evil/app/{kind}/{digest(one)}" for one in (b"holds the place", wanted)]
    held = asyncio.create_task(gateway.get(theirs[0]))
    await gate.reached()
    queued = asyncio.create_task(gateway.get(theirs[1]))
    await until(lambda: gateway.metric("apprproxy_flights") == 2)
    try:
        async with asyncio.timeout(PATIENCE):
            got = await gateway.get(f"/v2/hub/library/app/{path}")
        await until(lambda: gateway.metric("apprproxy_flights") == 1)
    finally:
        gate.open()
        await asyncio.gather(held, queued)

    assert (200, wanted) == (got.status, got.body)
