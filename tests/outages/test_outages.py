"""Whatever becomes of an upstream, a client gets what the table says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.fakes.clock import Clock, until
from tests.fakes.gateway import Gateways, Got, Running
from tests.outages.faults import FAULTS, Fault
from tests.outages.names import NameServer
from tests.outages.owner import Certificates, Owner, owner_of
from tests.outages.table import LEFT, TABLE, Row, State, Thing, cells

FRESH_FOR = 60
TERMS = {"fresh_for": f"{FRESH_FOR}s", "stale_for": "1h"}
CELLS = [pytest.param(*cell, id="-".join((cell[0].outage, *cell[1:]))) for cell in cells()]


@pytest.mark.parametrize(("row", "state", "thing"), CELLS)
async def test_a_client_gets_what_the_table_says(
    row: Row,
    state: State,
    thing: Thing,
    gateways: Gateways,
    clock: Clock,
    names: NameServer,
    certificates: Certificates,
    password: Path,
) -> None:
    fault, expected = FAULTS[row.outage], row.expected(state, thing)
    async with owner_of(thing, names, certificates) as (owner, path):
        await owner.begin(fault.scheme)
        gateway, content = await _held(gateways, clock, owner, fault, state, path, _account(fault, password))
        await fault.begin(owner)
        asked = _asked(gateway)
        got = await gateway.get(path)
        if expected.asked:
            await until(lambda: _asked(gateway) > asked)

        assert (expected.status, expected.cache) == (got.status, _cache(got))
        assert expected.asked == (_asked(gateway) > asked)
        assert got.headers.get("Retry-After") in (("7", "8") if expected.waits else (None,))
        assert expected.status != 200 or content == got.body
        assert expected.status == 200 or _in_words(owner, got)
        alarms = gateway.metric("apprproxy_credential_failures_total", upstream="owner")
        assert (row.alarm and expected.asked) == (alarms > 0)


def test_every_outage_of_the_table_is_brought_about() -> None:
    assert list(FAULTS) == [row.outage for row in TABLE]


async def _held(
    gateways: Gateways, clock: Clock, owner: Owner, fault: Fault, state: State, path: str, account: Mapping[str, Any]
) -> tuple[Running, bytes]:
    """A gateway at which the state is reached and the outage may begin, and what it holds."""
    keys = {**owner.keys(fault.scheme), **TERMS, **account}
    if state is State.COLD:
        return await gateways.start({"owner": {**keys, **fault.keys}}), b""
    gateway = await gateways.start({"owner": keys})
    filled = await gateway.get(path)
    assert filled.status == 200
    await gateway.at_rest()
    clock.advance(FRESH_FOR - LEFT[state])
    if fault.anew:
        await gateway.close()
        gateway = await gateways.start({"owner": {**keys, **fault.keys}})
    return gateway, filled.body


def _account(fault: Fault, password: Path) -> dict[str, Any]:
    return {"auth": {"username": "bot", "password_file": str(password)}} if fault.account else {}


def _asked(gateway: Running) -> float:
    """How many questions to the upstream have ended, however they did."""
    return gateway.metric("apprproxy_upstream_requests_total", upstream="owner")


def _cache(got: Got) -> str:
    return got.cache if "Cache-Status" in got.headers else ""


def _in_words(owner: Owner, got: Got) -> bool:
    """Is it an error of the protocol's that says who failed, or the owner's own?"""
    body = orjson.loads(got.body)
    (error,) = body["errors"] if owner.kind == "oci" else [body]
    return bool(error["code"]) and ("owner" in error["message"] or error["message"] == "said so")
