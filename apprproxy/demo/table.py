"""Findings for a person: who was asked for what, what arrived and was verified, what was refused and who lied."""

import re
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from apprproxy.demo.answer import Answer, Source
from apprproxy.demo.tour import Findings, Round, Row
from apprproxy.demo.verdict import complaints
from apprproxy.ops.logs import plain

_LEGEND = """\
verified:  digests that were right, of those that were due in all rounds
counted:   answers, those without a digest (lists, channels) as well
confirmed: held here, and its upstream says that the name still means this
stale:     held here, and its upstream could not be asked"""
_STYLES = {"fetched": "cyan", "cache": "green", "refused": "bold yellow", "-": "dim"}


def show(console: Console, findings: Findings) -> None:
    for part in (_table(findings.rows), _rounds(findings), _refusals(findings), _verdict(complaints(findings))):
        console.print()
        console.print(part)


def _table(rows: Iterable[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column in ("upstream", "pulled through the gateway"):
        table.add_column(column, no_wrap=True)
    table.add_column("verified", justify="right", no_wrap=True)
    for round_ in Round:
        table.add_column(round_.value, no_wrap=True)
    for row in rows:
        table.add_row(row.upstream, row.title, verified(row), *(_styled(outcome(row, round_)) for round_ in Round))
    return table


def verified(row: Row) -> str:
    """Digests that were right, of those that were due, over all rounds."""
    due = [answer for answers in row.rounds.values() for answer in answers if _due(answer)]
    return f"{sum(answer.verified is True for answer in due)} of {len(due)}"


def _due(answer: Answer) -> bool:
    return answer.verified is not None or answer.status != 200


def outcome(row: Row, round_: Round) -> str:
    """One word: where it came from, or why it did not come."""
    answers = row.rounds.get(round_)
    if answers is None:
        return "-"
    if any(answer.verified is False for answer in answers):
        return "WRONG"
    failed = [answer.status for answer in answers if answer.status != 200]
    if failed:
        return "refused" if row.caught else f"{failed[0]}"
    return "fetched" if any(answer.source is Source.FETCHED for answer in answers) else "cache"


def _styled(word: str) -> Text:
    return Text(word, _STYLES.get(word, "bold red"))


def _rounds(findings: Findings) -> Group:
    """How often each round was answered how, in the words of Cache-Status, and what it cost upstream."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for round_, received in findings.received.items():
        table.add_row(round_, _counted(findings.rows, round_), f"{received:,} bytes came from upstreams")
    return Group(table, Text(_LEGEND, "dim"))


def _counted(rows: Iterable[Row], round_: Round) -> str:
    answers = [answer for row in rows if len(row.rounds) > 1 for answer in row.rounds[round_]]
    counts = {source: sum(answer.source is source for answer in answers) for source in Source}
    return ", ".join(f"{count} {source}" for source, count in counts.items() if count)


def _refusals(findings: Findings) -> Text:
    """Everything that did not come, with the gateway's reason; and whom it caught lying."""
    found = [
        f"{answer.status} for {row.title}, its {answer.part}:\n  {short(plain(answer.reason))}\n"
        for row in findings.rows
        for answers in row.rounds.values()
        for answer in answers
        if answer.status != 200
    ]
    lines = dict.fromkeys(found)  # the same failure in each round is told once
    caught = ", ".join(f"{upstream} {count}" for upstream, count in findings.caught.items())
    return Text("".join(lines) + f"Wrong digests that /metrics counts: {caught}")


def short(text: str) -> str:
    """Digests as people compare them: by their first twelve characters."""
    return re.sub(r"sha256:([0-9a-f]{12})[0-9a-f]{52}", r"\1", text)


def _verdict(found: list[str]) -> Text:
    if not found:
        return Text("Everything is as it should be.", "bold green")
    lines = [f"  {short(plain(complaint))}" for complaint in found]
    return Text("\n".join(["Not as it should be:", *lines]), "bold red")
