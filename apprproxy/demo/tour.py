"""Each thing is pulled three times: first, again, and with the upstreams stopped; the mirror is tried once.

What came of it is noted here and judged elsewhere.
"""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client.parser import text_string_to_metric_families

from apprproxy.demo.answer import Answer
from apprproxy.demo.client import Client
from apprproxy.demo.embedded import LIAR, Upstreams
from apprproxy.demo.subjects import Subject, subjects

_SETTLE = 30.0
"""Seconds that transfers are given to end."""


class Round(StrEnum):
    FIRST = "first"
    AGAIN = "again"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Row:
    """``caught`` is how often the gateway counted a wrong digest of this upstream while this was pulled."""

    upstream: str
    title: str
    rounds: dict[Round, list[Answer]]
    caught: int = 0


@dataclass(slots=True)
class Findings:
    """``received`` is body bytes from upstreams, by round."""

    rows: list[Row] = field(default_factory=list)
    received: dict[Round, int] = field(default_factory=dict)
    caught: dict[str, int] = field(default_factory=dict)


async def tour(client: Client, upstreams: Upstreams) -> Findings:
    """Leaves the upstreams running."""
    findings, wanted = Findings(), subjects()
    trusted = [subject for subject in wanted if subject.upstream != LIAR]
    rows = {subject: await _first(client, subject) for subject in trusted}
    findings.received[Round.FIRST] = await _received(client)
    await _repeat(client, rows, Round.AGAIN, findings)
    await upstreams.stop()
    try:
        await _repeat(client, rows, Round.STOPPED, findings)
    finally:
        await upstreams.start()
    await _back(client, trusted)
    lying = [await _first(client, subject) for subject in wanted if subject.upstream == LIAR]
    findings.rows = [*rows.values(), *lying]
    findings.caught = await _caught(client)
    return findings


async def _first(client: Client, subject: Subject) -> Row:
    before = await _caught(client)
    answers = await subject.walk(client)
    caught = (await _caught(client)).get(subject.upstream, 0) - before.get(subject.upstream, 0)
    return Row(subject.upstream, subject.title, {Round.FIRST: answers}, caught)


async def _repeat(client: Client, rows: dict[Subject, Row], round_: Round, findings: Findings) -> None:
    before = await _received(client)
    for subject, row in rows.items():
        row.rounds[round_] = await subject.walk(client)
    findings.received[round_] = await _received(client) - before


async def _back(client: Client, wanted: list[Subject]) -> None:
    """Until the gateway asks its upstreams again: those that failed it leaves alone for some seconds."""
    try:
        async with asyncio.timeout(_SETTLE):
            while away := await _away(client):  # seen over HTTP
                for subject in wanted:
                    if subject.upstream in away:
                        await subject.walk(client)
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise TimeoutError(f"the gateway did not ask its upstreams again within {_SETTLE:g} s") from None


async def _away(client: Client) -> set[str]:
    """Upstreams whose last request failed, or that are not asked."""
    available = _sums(await client.metrics(), "apprproxy_upstream_available")
    return {upstream for upstream, sources in available.items() if not sources}


async def _caught(client: Client) -> dict[str, int]:
    """Wrong digests by upstream, as /metrics counts them."""
    return _sums(await client.metrics(), "apprproxy_digest_mismatches_total")


async def _received(client: Client) -> int:
    """Once no transfer is under way: the gateway answers when bytes are right, and counts them when they are kept."""
    try:
        async with asyncio.timeout(_SETTLE):
            while sum(_sums(await client.metrics(), "apprproxy_flights").values()):  # noqa: ASYNC110 — seen over HTTP
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise TimeoutError(f"a transfer did not end within {_SETTLE:g} s") from None
    return sum(_sums(await client.metrics(), "apprproxy_upstream_bytes_total").values())


def _sums(text: str, metric: str) -> dict[str, int]:
    """By upstream."""
    sums: dict[str, int] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == metric:
                upstream = sample.labels.get("upstream", "")
                sums[upstream] = sums.get(upstream, 0) + int(sample.value)
    return sums
