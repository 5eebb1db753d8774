"""The commands by name, and those that need no file of their own."""

import asyncio
import os
import sys
from pathlib import Path

import click

from apprproxy import __version__
from apprproxy.app import doubts, try_files
from apprproxy.cli.cache import cache
from apprproxy.cli.common import CONFIG, entered, failures_told, settings_of, too_early, went_wrong
from apprproxy.cli.names import names
from apprproxy.cli.search import search
from apprproxy.cli.serve import serve
from apprproxy.core.errors import Failure
from apprproxy.demo.run import demo as run_demo
from apprproxy.demo.script import console
from apprproxy.listening import CannotListen
from apprproxy.ops.logs import configure
from apprproxy.settings.show import effective
from apprproxy.store.directory.place import foresee

_EPILOG = "Documentation: README.md and docs/. The configuration file is explained in config/apprproxy.yaml."

_ACCOUNTS = """\
# Clients: the gateway has no accounts of its own and asks nobody who they are. `docker login` and `helm registry login`
# succeed with any name and password, which go nowhere.
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@too_early("apprproxy serve")
@click.version_option(__version__, "-V", "--version", message="apprproxy %(version)s")
def main() -> None:
    """A gateway in front of OCI registries and App Registry servers.

    It verifies the digest of everything it passes on, keeps it on local disk, and goes on serving what it holds when
    an upstream is slow, broken or gone. `apprproxy demo` shows it at work; `apprproxy serve` runs it.
    """
    configure("auto", "error")


@main.command(short_help="Say what is wrong with a configuration, or print it.")
@CONFIG
@click.option("--elsewhere", is_flag=True, help="For another machine: do not look for the files that it names.")
def check(path: Path | None, elsewhere: bool) -> None:
    """Validate the configuration and print what is in force, secrets masked.

    The files that it names are read as well: passwords, lock files, certificates; and where its cache would be is
    looked at. Status 1 if no cache can be there.
    """
    settings = settings_of(path)
    if not elsewhere:
        entered(settings)  # so that all is tried as `serve` will
        with failures_told():
            try_files(settings)
            for doubt in doubts(settings):
                click.echo(f"warning: {doubt}", err=True)
            foresee(settings.cache.directory.absolute())
    click.echo(f"{effective(settings)}\n{_ACCOUNTS}", nl=False)


@main.command(short_help="See it at work, without a configuration or a network.")
@click.option("--once", is_flag=True, help="Print the table and end: status 0 if all is as it should be, else 1.")
def demo(once: bool) -> None:
    """See it at work: a gateway on loopback in front of small upstreams of its own, one of which lies.

    Needs no configuration and no network. Serves until Ctrl-C.
    """
    try:
        status = asyncio.run(run_demo(console(os.environ), once=once))
    except (Failure, CannotListen, OSError) as error:
        went_wrong(str(error))
    sys.exit(status)


for _command in (serve, names, cache, search):
    main.add_command(_command)
