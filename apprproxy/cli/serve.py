"""`apprproxy serve`: the gateway, until it is told to stop."""

import asyncio
import faulthandler
from pathlib import Path

import click

from apprproxy.app import build, doubts, try_files
from apprproxy.cli.common import CONFIG, settings_of, went_wrong, wrong_use
from apprproxy.core.errors import Failure
from apprproxy.listening import CannotListen
from apprproxy.ops.logs import configure, logger
from apprproxy.ops.writing import written
from apprproxy.serving import serve as serve_app
from apprproxy.settings import BadConfiguration, Settings
from apprproxy.store.directory.becoming import Owner, become, owner_of

_STANDARD_ERROR = 2


@click.command()
@CONFIG
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "console"]),
    default="auto",
    show_default=True,
    help="auto: for people on a terminal, JSON elsewhere.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="info has one line for each request.",
)
def serve(path: Path | None, log_format: str, log_level: str) -> None:
    """Run the gateway until SIGTERM or Ctrl-C."""
    settings = settings_of(path)
    faulthandler.enable(_STANDARD_ERROR)  # a signal of the system's ends a process without a word otherwise
    try:
        owner = _become_owner(settings.cache.directory.absolute())
        with written(_STANDARD_ERROR) as log:
            configure(log_format, log_level, log)
            if owner is not None:
                logger("apprproxy").info("going on as whom the cache belongs to", user=owner.name, path=str(owner.path))
            try_files(settings)
            for doubt in doubts(settings):
                logger("apprproxy").warning("the configuration is doubtful", reason=doubt)
            asyncio.run(_serve(settings))
    except BadConfiguration as error:
        wrong_use(str(error))
    except (Failure, CannotListen) as error:
        went_wrong(str(error))


def _become_owner(directory: Path) -> Owner | None:
    owner = owner_of(directory)
    return owner if owner is not None and become(owner) else None


async def _serve(settings: Settings) -> None:
    await serve_app(build(settings))
