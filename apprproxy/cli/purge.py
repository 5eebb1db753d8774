"""`apprproxy cache purge`: what is not to be held any more."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from apprproxy.cli.common import CONFIG, entered, failures_told, settings_of, warn_of_stranger, went_wrong
from apprproxy.cli.progress import BLOBS, progress
from apprproxy.cli.shown import as_json, size
from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Malformed
from apprproxy.ops.logs import plain
from apprproxy.settings import Settings
from apprproxy.upkeep.folder import Folder, opened
from apprproxy.upkeep.purge import Purged, purge_digest, purge_name
from apprproxy.upkeep.sweep import pins_of, purge_all, purge_upstream
from apprproxy.upkeep.title import Title, parse


@click.command(short_help="Throw away blobs, or names and what only they lead to.")
@CONFIG
@click.option("--upstream", help="All that came from this upstream, and from no other.")
@click.option("--all", "everything", is_flag=True, help="All names and all blobs.")
@click.option("--name-only", is_flag=True, help="Only the name: its bytes stay until they are evicted.")
@click.option("--force", is_flag=True, help="Also what is pinned.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line, sizes in bytes.")
@click.argument("wanted", metavar="[DIGEST|NAME]…", nargs=-1)
def purge(
    path: Path | None,
    upstream: str | None,
    everything: bool,
    name_only: bool,
    force: bool,
    yes: bool,
    as_lines: bool,
    wanted: tuple[str, ...],
) -> None:
    """Throw away blobs, or names and what only they lead to; running gateways serve neither a second later.

    NAME is UPSTREAM/REPOSITORY:TAG, UPSTREAM/REPOSITORY@DIGEST or UPSTREAM/PACKAGE@RELEASE/FORMAT. What a pin, another
    name or another document needs stays. The first digest seen for a release stands; `apprproxy names accept` takes
    another.
    """
    if (upstream is not None) + everything + bool(wanted) != 1:
        raise click.UsageError("give digests and names, or --upstream, or --all")
    settings = settings_of(path)
    titles = [_parsed(text, settings) for text in wanted]
    what = "everything" if everything else f"all of {upstream}" if upstream is not None else f"{len(titles)} of these"
    if upstream is not None:
        warn_of_stranger(settings, upstream)
    _asked(plain(what), yes=yes, many=not wanted)
    with failures_told(), opened(entered(settings)) as folder:
        if wanted:
            refused = [_tell(one, as_lines=as_lines) for one in _each(folder, titles, force=force, name_only=name_only)]
            sys.exit(1 if any(refused) else 0)
        if (pins := pins_of(folder, upstream)) and not force:
            went_wrong(f"{len(pins)} pinned names are among it, such as {plain(pins[0])}; --force purges them as well")
        with progress("purging", folder.ledger.totals().blobs, BLOBS) as told:
            purged = purge_all(folder, told) if upstream is None else purge_upstream(folder, upstream, told)
        _tell(purged, as_lines=as_lines)


def _asked(what: str, *, yes: bool, many: bool) -> None:
    if yes:
        return
    if sys.stdin.isatty():
        click.confirm(f"Purge {what}?", abort=True, err=True)
    elif many:
        raise click.UsageError(f"purging {what} without anybody to ask needs --yes")


def _parsed(text: str, settings: Settings) -> Title | Digest:
    try:
        return Digest.parse(text)
    except MalformedDigest as error:
        if text.startswith(("sha256:", "sha512:")):
            raise click.UsageError(plain(str(error))) from None
    try:
        return parse(text, settings)
    except Malformed as error:
        raise click.UsageError(f"{plain(text)}: {plain(str(error))}") from None


def _each(folder: Folder, titles: list[Title | Digest], *, force: bool, name_only: bool) -> Iterator[Purged]:
    for title in titles:
        if isinstance(title, Digest):
            yield purge_digest(folder, title, force=force)
        else:
            yield purge_name(folder, title, force=force, name_only=name_only)


def _tell(purged: Purged, *, as_lines: bool) -> bool:
    """Says whether it was refused."""
    what = plain(purged.what)
    if as_lines:
        as_json({**asdict(purged), "what": what, "refused": purged.refused or None})
    elif purged.refused:
        click.echo(f"error: {what}: {purged.refused}", err=True)
    else:
        shared = f", {purged.shared} blobs stay, which others need" if purged.shared else ""
        click.echo(f"purged {what}: {purged.names} names, {purged.blobs} blobs, {size(purged.size)}{shared}")
    return bool(purged.refused)
