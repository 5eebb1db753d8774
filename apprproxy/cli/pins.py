"""`apprproxy cache pin` and `unpin`: names whose content is never evicted."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from apprproxy.app import App, build_beside
from apprproxy.cli.common import CONFIG, asking_settings_of, entered, failures_told, settings_of
from apprproxy.cli.progress import BLOBS, Display, side_by_side
from apprproxy.cli.shown import as_json
from apprproxy.cli.verified import ELSEWHERE
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed, StoreFailed
from apprproxy.ops.logs import plain
from apprproxy.settings import Settings
from apprproxy.upkeep import pins as work
from apprproxy.upkeep.folder import Folder, opened
from apprproxy.upkeep.pins import Pin
from apprproxy.upkeep.referrers import Referring
from apprproxy.upkeep.title import Title, parse

Tell = Callable[[Pin], None]


@click.command(short_help="Keep names with all that they lead to, or list the pins.")
@CONFIG
@click.option("--fetch", is_flag=True, help="Fetch what is missing, with the configuration's upstreams.")
@click.option(
    "--referrers",
    is_flag=True,
    help="With --fetch: what refers to it as well, signatures and SBOMs, cosign's tags too.",
)
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line.")
@click.argument("wanted", metavar="[NAME]…", nargs=-1)
def pin(path: Path | None, fetch: bool, referrers: bool, as_lines: bool, wanted: tuple[str, ...]) -> None:
    """Keep each NAME with all that it leads to, whatever else is evicted; without a NAME, list the pins.

    NAME is UPSTREAM/REPOSITORY:TAG, UPSTREAM/REPOSITORY@DIGEST or UPSTREAM/PACKAGE@RELEASE/FORMAT. Where the name moves
    on, the pin goes along. Status 1 where something is missing, or could not be pinned.
    """
    if referrers and not fetch:
        raise click.UsageError("--referrers asks their upstream: give --fetch as well")
    settings = asking_settings_of(path) if fetch else settings_of(path)
    titles = [_parsed(name, settings) for name in wanted]
    entered(settings)
    tell = partial(_tell, as_lines=as_lines)
    with failures_told():
        if fetch:
            pins = asyncio.run(_fetched(settings, titles, tell, referrers=referrers))
        else:
            with opened(settings) as folder:
                pins = [_pinned(folder, settings, title) for title in titles] if titles else work.pins(folder)
            for one in pins:
                tell(one)
    if not pins:
        click.echo("no name is pinned; pins are carried in index.db", err=True)
    if not fetch and any(one.missing for one in pins):
        click.echo(ELSEWHERE if settings.offline else "`apprproxy cache pin --fetch` fetches what is missing", err=True)
    sys.exit(1 if any(one.failure or one.missing for one in pins) else 0)


@click.command()
@CONFIG
@click.option("--json", "as_lines", is_flag=True, help="One JSON object a line.")
@click.argument("names", metavar="NAME…", nargs=-1, required=True)
def unpin(path: Path | None, as_lines: bool, names: tuple[str, ...]) -> None:
    """Let each NAME, as `cache pin` prints it, be evicted again. Status 1 where one was not pinned."""
    missing = False
    with failures_told(), opened(entered(settings_of(path))) as folder:
        for name in names:
            there = folder.ledger.pinned.unpin(name)
            missing |= not there
            if as_lines:
                as_json({"name": plain(name), "unpinned": there})
            else:
                click.echo(f"unpinned {plain(name)}" if there else f"error: {plain(name)} is not pinned", err=not there)
    sys.exit(1 if missing else 0)


def _parsed(name: str, settings: Settings) -> Title:
    try:
        return parse(name, settings)
    except Malformed as error:
        raise click.UsageError(f"{plain(name)}: {plain(str(error))}") from None


def _pinned(folder: Folder, settings: Settings, title: Title) -> Pin:
    one = work.pin(folder, title)
    strange = one.failure and title.upstream not in settings.upstreams
    return replace(one, failure=f"no upstream is called {title.upstream!r}") if strange else one


async def _fetched(settings: Settings, titles: Sequence[Title], tell: Tell, *, referrers: bool) -> list[Pin]:
    """Those of an upstream one after the other, and upstreams side by side: one that sends slowly holds up its own.
    Each is told once it is done: the last may be hours away, and somebody may stop it before. Without titles, what the
    pins there are lack."""
    app, queues = build_beside(settings), defaultdict[str, list[Title]](list)
    tasks = list[asyncio.Task[list[Pin]]]()
    try:
        for title in titles or work.titles(app.ledger.pinned.pins()):
            queues[title.upstream].append(title)
        with side_by_side(BLOBS) as display:
            for some in queues.values():
                tasks.append(asyncio.create_task(_in_order(app, some, display, tell, referrers=referrers)))
            return [one for done in await asyncio.gather(*tasks) for one in done]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app.close()


async def _in_order(app: App, titles: Sequence[Title], display: Display, tell: Tell, *, referrers: bool) -> list[Pin]:
    done, names, referring = list[Pin](), set[str](), Referring(app)
    for title in titles:
        if title.text in names:  # it refers to one before it
            continue
        with display.begin(f"fetching {plain(title.text)}", 1) as told:
            some = [pin := await work.fetch(app, title, told)]
        moved = await _moved_to(app, title)
        with display.aside():
            tell(pin)
            if moved:
                _warn_of_move(title, moved)
        if referrers and pin.root and title.protocol == "oci":
            with display.begin(f"asking what refers to {plain(title.text)}", 1) as told:
                found = [one for one in await referring.to(title, pin.root, told) if one.name not in names]
            with display.aside():
                for one in found:
                    tell(one)
            some += found
        done += some
        names.update(one.name for one in some)
    return done


async def _moved_to(app: App, title: Title) -> Digest | None:
    name, first = title.text.partition("/")[2], None
    with suppress(StoreFailed):  # the pin says so
        first = (await app.names.first_seen(title.upstream, [name])).get(name)
    return first.moved_to if first is not None else None


def _warn_of_move(title: Title, moved_to: Digest) -> None:
    """A gateway counts and logs what moves when it learns of it itself, and what this command saw is known by then."""
    stands = f"moved to {moved_to}, and its first digest stands: `apprproxy names list --moved`"
    click.echo(f"warning: {plain(title.text)} {stands}", err=True)


def _tell(one: Pin, *, as_lines: bool) -> None:
    name, missing = plain(one.name), {plain(key): plain(why) for key, why in one.missing.items()}
    if as_lines:
        facts = {"name": name, "root": one.root or None, "held": one.held, "missing": missing}
        as_json({**facts, "failure": plain(one.failure) or None})
    elif one.failure:
        click.echo(f"error: {name}: {plain(one.failure)}", err=True)
    else:
        click.echo(f"{name}  {one.root}  {one.held} held, {len(missing)} missing")
        for key, why in missing.items():
            click.echo(f"  missing {key}" + (f": {why}" if why else ""))
