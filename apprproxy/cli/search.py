"""`apprproxy search`: names of a view's upstreams, or of all, and how to pull them."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click

from apprproxy.app.protocols import LISTS
from apprproxy.cli.common import CONFIG, asking_settings_of, entered, went_wrong, wrong_use
from apprproxy.core.errors import ClientFault, Failure
from apprproxy.finding import search as find
from apprproxy.finding import search_lines
from apprproxy.ops.logs import plain
from apprproxy.search.listing import State
from apprproxy.search.query import MOST, USUAL
from apprproxy.settings import BadConfiguration, Settings

_WITHOUT = {
    State.NOT_OFFERED: "offers no list of its names",
    State.REFUSED: "is not asked for names (names: refuse)",
}
"""Whose names nobody can find here, and why."""


@click.command(short_help="Find names by a word in them, and how to pull them.")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as /api/search answers.")
@click.option("--limit", type=click.IntRange(1, MOST), default=USUAL, show_default=True, help="Results at the most.")
@click.option("--kind", type=click.Choice(sorted(LISTS)), help="Only upstreams of this kind.")
@click.option("--view", help="The view or upstream to search: the view default, or without one every upstream.")
@click.argument("word")
def search(path: Path | None, as_json: bool, limit: int, kind: str | None, view: str | None, word: str) -> None:
    """Find repositories and packages by WORD in their names, and print how to pull them.

    Asks the upstreams for their lists where those that the cache has are old. The command lines are for a gateway at
    the first address of `server.listen`. Who could not be asked, or offers no list, is named. Status 1 if nothing was
    found because that is so of all of them.
    """
    settings = entered(asking_settings_of(path))
    try:
        found = asyncio.run(find(settings, word, kind=kind, view=view, limit=limit))
    except BadConfiguration as error:
        wrong_use(str(error))
    except ClientFault as error:
        raise click.UsageError(plain(str(error))) from None
    except Failure as error:
        went_wrong(plain(str(error)))
    if found["missing"]:
        why = "cannot be asked, being offline" if settings.offline else "could not be asked"
        click.echo(f"warning: {why}: {plain(', '.join(found['missing']))}", err=True)
    without = [(one["upstream"], _WITHOUT[one["state"]]) for one in found["sources"] if one["state"] in _WITHOUT]
    for upstream, why in without:
        click.echo(f"warning: {plain(upstream)} {why}: they cannot be searched", err=True)
    if view is None and not found["results"] and (left_out := _left_out(settings, kind, found)):
        which = f"which has not got {', '.join(left_out)}: --view {left_out[0]} searches it"
        click.echo(f"note: the view default was searched, {which}", err=True)
    elif not found["sources"]:
        click.echo(f"warning: there is no upstream{f' of kind {kind}' if kind else ''} to search", err=True)
    if as_json:
        click.echo(json.dumps(found))
    else:
        for line in search_lines(found):
            click.echo(line)
    if not found["results"] and len(found["missing"]) + len(without) == len(found["sources"]):
        sys.exit(1)


def _left_out(settings: Settings, kind: str | None, found: dict[str, Any]) -> list[str]:
    searched = {one["upstream"] for one in found["sources"]}
    return [name for name, one in settings.upstreams.items() if kind in (None, one.kind) and name not in searched]
