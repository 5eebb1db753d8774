"""`apprproxy cache`: what is held, beside a running gateway or without one."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import click

from apprproxy.cli.common import CONFIG, entered, failures_told, settings_of, too_early, warn_of_stranger
from apprproxy.cli.pins import pin, unpin
from apprproxy.cli.purge import purge
from apprproxy.cli.shown import as_json, origin, places, size, when
from apprproxy.cli.verify import verify
from apprproxy.settings.units import parse_size
from apprproxy.store.index.holdings import Asked
from apprproxy.store.index.ledger import Blob
from apprproxy.store.index.membership import Origin
from apprproxy.upkeep.folder import opened
from apprproxy.upkeep.stats import Files, Stats
from apprproxy.upkeep.stats import stats as stats_of

_JSON = click.option("--json", "as_lines", is_flag=True, help="One JSON object a line, sizes in bytes.")


@click.group(short_help="Look at what the cache holds, check it, keep it, throw it away.")
@too_early("apprproxy cache stats")
def cache() -> None:
    """What the cache holds: look at it, check it, keep some of it, throw some of it away.

    All of these work beside running gateways, which follow within a second, and without one.
    """


for _command in (verify, purge, pin, unpin):
    cache.add_command(_command)


@cache.command("stats")
@CONFIG
@click.option("--json", "as_object", is_flag=True, help="One JSON object, sizes in bytes.")
def cache_stats(path: Path | None, as_object: bool) -> None:
    """How full the cache is, and with what."""
    with failures_told(), opened(entered(settings_of(path))) as folder:
        stats = stats_of(folder)
    if as_object:
        as_json({**asdict(stats), "share": round(stats.share, 4)})
        return
    for title, text in _lines(stats).items():
        click.echo(f"{title:<12}{text}")


def _lines(stats: Stats) -> dict[str, str]:
    used = f"{when(stats.oldest)} to {when(stats.newest)}" if stats.oldest and stats.newest else "-"
    return {
        "blobs": f"{stats.blobs}, {size(stats.size)}",
        "cap": f"{size(stats.max_size)}, {stats.share:.1%} of it taken",
        "arriving": size(stats.arriving),
        "pinned": f"{stats.pins} names, {size(stats.pinned)}",
        "names": _counts(stats.names),
        "first seen": _counts(stats.first_seen),
        "beside cap": ", ".join(f"{what} {size(taken)}" for what, taken in stats.beside.items()),
        "last used": used,
        "orphans": _files(stats.orphans),
        "quarantine": _files(stats.quarantined),
    }


def _counts(by_upstream: Mapping[str, int]) -> str:
    return ", ".join(f"{upstream} {count}" for upstream, count in by_upstream.items()) or "-"


def _files(files: Files) -> str:
    return f"{files.number} files, {size(files.size)}"


def _size(_: click.Context, __: click.Parameter, text: str | None) -> int:
    if text is None:
        return -1
    try:
        return parse_size(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@cache.command("list", short_help="Each blob: its size, last use, pin and repositories.")
@CONFIG
@click.option("--upstream", help="Only what came through this upstream.")
@click.option("--larger-than", callback=_size, metavar="SIZE", help="Only blobs of more than this: 100MiB, say.")
@click.option(
    "--sort",
    type=click.Choice(["digest", "size", "used"]),
    default="digest",
    show_default=True,
    help="Largest, or last used, first.",
)
@click.option("--limit", type=click.IntRange(1), help="Not more than so many.")
@_JSON
def cache_list(
    path: Path | None, upstream: str | None, larger_than: int, sort: str, limit: int | None, as_lines: bool
) -> None:
    """Each blob with its size, its last use, whether it is pinned, and the repositories that show it."""
    asked, settings = Asked(upstream, larger_than, sort, limit), settings_of(path)
    if upstream is not None:
        warn_of_stranger(settings, upstream)
    with failures_told(), opened(entered(settings)) as folder:
        for blob in folder.holdings.listed(asked):
            _tell(blob, folder.ledger.membership.provenance(blob.digest), as_lines=as_lines)


def _tell(blob: Blob, origins: list[Origin], *, as_lines: bool) -> None:
    if as_lines:
        facts = {"digest": str(blob.digest), "size": blob.size, "used": blob.used, "pinned": blob.pinned}
        as_json({**facts, "shown_by": [origin(one) for one in origins]})
        return
    mark = "pinned" if blob.pinned else "      "
    click.echo(f"{blob.digest}  {size(blob.size):>10}  {when(blob.used)}  {mark}  {places(origins) or '-'}")
