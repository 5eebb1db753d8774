"""`apprproxy cache verify`: every file hashed anew; what is wrong is set aside, and fetched again if that is asked."""

import asyncio
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import click

from apprproxy.app import build_beside
from apprproxy.cli.common import CONFIG, entered, failures_told, settings_of
from apprproxy.cli.progress import BLOBS, progress
from apprproxy.cli.verified import Summary, tell
from apprproxy.settings import Settings
from apprproxy.upkeep import unrepaired
from apprproxy.upkeep.carried import lacking
from apprproxy.upkeep.findings import Finding
from apprproxy.upkeep.folder import Folder, opened
from apprproxy.upkeep.pins import pins
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
@click.option(
    "--repair", "again", is_flag=True, help="Fetch what is wrong or lost again, now or when it was verified before."
)
@click.option("--json", "as_lines", is_flag=True, help="One JSON object for each finding, and one for the whole.")
def verify(path: Path | None, again: bool, as_lines: bool) -> None:
    """Hash every file anew, and hold the index against the files.

    What is wrong is moved to the folder `quarantine` of the cache, and said with where it had come from. What pinned
    names lack is told as well. Status 1 if there is such a name, or anything was found
    wrong now and has not been repaired.
    """
    settings = entered(settings_of(path))
    with failures_told():
        with opened(settings) as folder:
            unfit = list(lacking(settings, folder.ledger, folder.names))  # before what is lost is forgotten
            findings, measure = _findings(folder)
            root, before = folder.root, _before(folder, findings)
        unrepaired.save(root, _unmended(findings + before))
        failed = dict[str, str]()
        if again:
            findings, before = findings + before, []
            failed = asyncio.run(_repaired(settings, findings))
        bad = [one for one in _unmended(findings) if not again or failed.get(one.key)]
        unrepaired.save(root, bad + before)
        with opened(settings) as folder:
            pinned = pins(folder)
    missing = {one.name: len(one.missing) for one in pinned if one.missing}
    for finding in findings:
        tell(finding, failed.get(finding.key) if again else None, as_lines=as_lines)
    counts = len(findings), len(bad), len(before)
    summary = Summary(
        measure.size, measure.rate, *counts, missing, len(pinned), settings.offline, incomplete=unfit, repaired=again
    )
    summary.tell(as_lines=as_lines)
    sys.exit(1 if bad or missing else 0)


def _unmended(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if not finding.mended]


def _before(folder: Folder, findings: Sequence[Finding]) -> list[Finding]:
    """Of one that was broken off nobody has asked yet which names point at it."""
    before = unrepaired.load(folder.root, folder.ledger.counted, findings)
    nameless = {one.key: one for one in before if not one.names}
    named = {one.key: one for one in with_names(folder.names, nameless.values())} if nameless else {}
    return [named.get(one.key, one) for one in before]


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
    if not (wrong := _unmended(findings)):
        return {}
    app, reasons = build_beside(settings), dict[str, str]()
    try:
        with progress("fetching again", len(wrong), BLOBS) as told:
            async for finding, reason in repair(app, wrong):
                reasons[finding.key] = reason
                told(1)
        return reasons
    finally:
        await app.close()
