"""`apprproxy cache verify`: every file hashed anew; what is wrong is set aside, and fetched again if that is asked."""

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from apprproxy.app import build
from apprproxy.cli.common import CONFIG, failures_told, settings_of
from apprproxy.cli.progress import BLOBS, progress
from apprproxy.cli.shown import as_json, origin, place, size
from apprproxy.ops.logs import configure, plain
from apprproxy.settings import Settings
from apprproxy.upkeep.findings import Finding
from apprproxy.upkeep.folder import Folder, opened
from apprproxy.upkeep.repair import repair, with_names
from apprproxy.upkeep.verify import verify as verified


class _Measure:
    """What was hashed, and how fast."""

    def __init__(self) -> None:
        self.size = 0
        self._lock = threading.Lock()
        self._began = time.monotonic()

    def add(self, count: int) -> None:
        with self._lock:
            self.size += count

    @property
    def rate(self) -> float:
        """Bytes a second."""
        return self.size / max(time.monotonic() - self._began, 1e-3)


@click.command()
@CONFIG
@click.option("--repair", "again", is_flag=True, help="Fetch what was wrong or lost again, from where it had come.")
@click.option("--json", "as_lines", is_flag=True, help="One JSON object for each finding, and one for the whole.")
def verify(path: Path | None, again: bool, as_lines: bool) -> None:
    """Hash every file anew, and hold the index against the files.

    What is wrong is moved to the folder `quarantine` of the cache, and said with where it had come from. Status 1 if
    anything was wrong and has not been repaired.
    """
    settings = settings_of(path)
    configure("auto", "error")
    with failures_told():
        with opened(settings) as folder:
            findings, measure = _findings(folder)
        failed = asyncio.run(_repaired(settings, findings)) if again else {}
    for finding in findings:
        _tell(finding, failed.get(finding.key) if again else None, as_lines=as_lines)
    bad = [one for one in findings if not one.mended and (not again or failed.get(one.key))]
    _tell_all(findings, bad, measure, as_lines=as_lines)
    sys.exit(1 if bad else 0)


def _findings(folder: Folder) -> tuple[list[Finding], _Measure]:
    measure = _Measure()
    with progress("verifying", folder.ledger.totals().held) as told:

        def count(more: int) -> None:
            measure.add(more)
            told(more)

        findings = list(verified(folder, count))
    return with_names(folder.names, findings) if findings else [], measure


async def _repaired(settings: Settings, findings: Sequence[Finding]) -> dict[str, str]:
    """By key, why it could not be had again; empty where it was."""
    wrong = [finding for finding in findings if not finding.mended]
    if not wrong:
        return {}
    app, reasons = build(settings), dict[str, str]()
    try:
        with progress("fetching again", len(wrong), BLOBS) as told:
            async for finding, reason in repair(app, wrong):
                reasons[finding.key] = reason
                told(1)
        return reasons
    finally:
        await app.close()


def _tell(finding: Finding, reason: str | None, *, as_lines: bool) -> None:
    names = [plain(f"{upstream}: {key}") for upstream, key in finding.names]
    if as_lines:
        document: dict[str, Any] = {
            "fault": str(finding.fault),
            "key": plain(finding.key),
            "reason": plain(finding.sentence),
            "quarantined": plain(str(finding.aside)) if finding.aside else None,
            "from": [origin(one) for one in finding.origins],
            "names": names,
            "repaired": finding.mended or reason == "",
        }
        as_json(document | ({"not_repaired": plain(reason)} if reason else {}))
        return
    click.echo(f"{finding.fault}: {plain(finding.key)}: {plain(finding.sentence)}")
    for one in finding.origins:
        click.echo(f"  came from {place(one)}" + (f" ({plain(', '.join(one.sources))})" if one.sources else ""))
    for name in names:
        click.echo(f"  named by {name}")
    if finding.aside:
        click.echo(f"  moved to {plain(str(finding.aside))}")
    if reason is not None and not finding.mended:
        click.echo(f"  not repaired: {plain(reason)}" if reason else "  repaired")


def _tell_all(findings: Sequence[Finding], bad: Sequence[Finding], measure: _Measure, *, as_lines: bool) -> None:
    if as_lines:
        whole = {"verified": measure.size, "bytes_per_second": round(measure.rate), "findings": len(findings)}
        as_json({**whole, "wrong": len(bad)})
        return
    told = f"{len(findings)} findings, {len(bad)} of them not repaired" if findings else "nothing is wrong"
    click.echo(f"verified {size(measure.size)} at {measure.rate / 1024**2:.0f} MiB/s: {told}")
