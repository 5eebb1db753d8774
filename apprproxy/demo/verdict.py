"""Is what was found what it should be? Pure.

- What the trusted upstreams have arrives right, comes from the cache again, and does so with the upstreams stopped.
- What the mirror lies about is refused with 502 and counted against the mirror, and nothing wrong arrives.
"""

from apprproxy.demo.answer import Answer, Source
from apprproxy.demo.embedded import LIAR
from apprproxy.demo.tour import Findings, Round, Row


def complaints(findings: Findings) -> list[str]:
    """What is not as it should be, a sentence each; none where all is well."""
    found = [f"{row.upstream}, {row.title}: {fault}" for row in findings.rows for fault in _faults(row)]
    if findings.received[Round.STOPPED]:
        found.append("bytes came from upstreams that were stopped")
    for upstream, count in findings.caught.items():
        if upstream != LIAR and count:
            found.append(f"{upstream} sent wrong bytes {count} times")
    return found


def _faults(row: Row) -> list[str]:
    wrong = [
        f"a {answer.part} with wrong bytes was passed on"
        for answers in row.rounds.values()
        for answer in answers
        if answer.status == 200 and answer.verified is False
    ]
    return wrong + (_of_the_liar(row) if row.upstream == LIAR else _of_the_trusted(row))


def _of_the_liar(row: Row) -> list[str]:
    refused = [answer for answer in row.rounds[Round.FIRST] if answer.status == 502]
    if not refused:
        return ["nothing was refused"]
    return [] if row.caught >= len(refused) else [f"{len(refused)} refused, and {row.caught} wrong digests counted"]


def _of_the_trusted(row: Row) -> list[str]:
    found = []
    for round_, answers in row.rounds.items():
        failed = [answer for answer in answers if answer.status != 200]
        found += [f"{round_}: its {answer.part} failed with {answer.status}" for answer in failed]
        if not failed and not _sourced(round_, answers):
            found.append(f"{round_}: did not come from where it should")
    return found


def _sourced(round_: Round, answers: list[Answer]) -> bool:
    sources = {answer.source for answer in answers}
    match round_:
        case Round.FIRST:
            return Source.FETCHED in sources
        case Round.AGAIN:
            return sources <= {Source.CACHE, Source.CONFIRMED}
        case Round.STOPPED:
            return sources <= {Source.CACHE, Source.STALE}
