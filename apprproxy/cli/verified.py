"""What a verification found, for people and for scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

import click

from apprproxy.cli.shown import as_json, origin, place, size
from apprproxy.core.model import spoken
from apprproxy.ops.logs import plain
from apprproxy.upkeep.findings import Finding


def tell(finding: Finding, reason: str | None, *, as_lines: bool) -> None:
    if as_lines:
        document: dict[str, Any] = {
            "fault": str(finding.fault),
            "key": plain(finding.key),
            "reason": plain(finding.sentence),
            "quarantined": plain(str(finding.aside)) if finding.aside else None,
            "from": [origin(one) for one in finding.origins],
            "names": [plain(f"{upstream}: {key}") for upstream, key in finding.names],
            "repaired": finding.mended or reason == "",
        }
        as_json(document | ({"not_repaired": plain(reason)} if reason else {}))
        return
    click.echo(f"{finding.fault}: {plain(finding.key)}: {plain(finding.sentence)}")
    for one in finding.origins:
        click.echo(f"  came from {place(one)}" + (f" ({plain(', '.join(one.sources))})" if one.sources else ""))
    for upstream, key in finding.names:
        click.echo(f"  named by {plain(f'{upstream}: {_spoken(key)}')}")
    if finding.aside:
        click.echo(f"  moved to {plain(str(finding.aside))}")
    if reason is not None and not finding.mended:
        click.echo(f"  not repaired: {plain(reason)}" if reason else "  repaired")


def _spoken(key: str) -> str:
    """What was written down may be no key."""
    return spoken(key) if key.count(" ") == 2 else key


ELSEWHERE = (
    "this gateway is offline: fetch it on the connected side, with the url and account that each upstream has "
    "here, and carry the cache over again"
)


@dataclass(frozen=True, slots=True)
class Summary:
    """``before``: so many were found before and have not come back. ``lacking`` counts, by pinned name, what is not
    held of it; ``incomplete`` says what the cache as a whole lacks. ``repaired``: that was tried already."""

    size: int
    rate: float
    findings: int
    wrong: int
    before: int
    lacking: Mapping[str, int]
    pins: int
    offline: bool
    incomplete: Sequence[str]
    repaired: bool

    def tell(self, *, as_lines: bool) -> None:
        lacking = {plain(name): count for name, count in self.lacking.items()}
        if as_lines:
            whole = {"verified": self.size, "bytes_per_second": round(self.rate), "findings": self.findings}
            whole |= {"wrong": self.wrong, "found_before": self.before, "pins": self.pins}
            as_json({**whole, "pins_missing": lacking, "incomplete": list(self.incomplete)})
            return
        nothing = "nothing new is wrong" if self.before else "nothing is wrong"
        found = f"{self.findings} findings, {self.wrong} of them not repaired" if self.findings else nothing
        click.echo(f"verified {size(self.size)} at {self.rate / 1024**2:.0f} MiB/s: {found}")
        if self.before:
            click.echo(f"{self.before} found before have not come back")
        if (self.wrong or self.before) and not self.offline and not self.repaired:
            click.echo("`apprproxy cache verify --repair` fetches them again")
        for name, count in lacking.items():
            fetch = (
                ": `apprproxy cache pin` says what, and why"
                if self.offline
                else f": `apprproxy cache pin --fetch {quote(name)}` fetches them"
            )
            click.echo(f"{name} is pinned and lacks {count}{fetch}")
        if self.offline and (self.wrong or self.before or lacking):
            click.echo(ELSEWHERE)
        for reason in self.incomplete:
            click.echo(f"warning: {reason}", err=True)
        if self.offline and not self.pins:
            click.echo(
                "no name is pinned here, so that what the site needs was not looked for; pins are carried in index.db"
            )
