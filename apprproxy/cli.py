"""The commands: parse, build, call. Exit status 0 fine, 1 it went wrong, 2 used wrongly."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click

from apprproxy import __version__
from apprproxy.app import build
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Failure
from apprproxy.core.lock import BadLock
from apprproxy.core.model import FirstSeen
from apprproxy.demo.run import demo as run_demo
from apprproxy.demo.script import console
from apprproxy.locking import lock_files, resolve
from apprproxy.ops.logs import configure, plain
from apprproxy.serving import CannotListen
from apprproxy.serving import serve as serve_app
from apprproxy.settings import BadConfiguration, Settings, load
from apprproxy.settings.show import effective
from apprproxy.store.lock_file import update
from apprproxy.store.names import DiskNames
from apprproxy.store.place import prepare

_EPILOG = "Documentation: README.md and docs/. The configuration file is explained in config/apprproxy.yaml."
_CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="APPRPROXY_CONFIG",
    show_envvar=True,
    help="The configuration file (YAML). Without one, defaults and APPRPROXY_… variables hold.",
)


_ACCOUNTS = """\
# Clients: the gateway has no accounts of its own and asks nobody who they are. `docker login` and `helm registry login`
# succeed with any name and password, which go nowhere.
"""


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="apprproxy %(version)s")
def main() -> None:
    """A gateway in front of OCI registries and App Registry servers.

    It verifies the digest of everything it passes on, keeps it on local disk, and goes on serving what it holds when
    an upstream is slow, broken or gone. `apprproxy demo` shows it at work; `apprproxy serve` runs it.
    """


@main.command()
@_CONFIG
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
    settings = _settings(path)
    configure(log_format, log_level)
    if not settings.upstreams:
        click.echo("warning: the configuration names no upstreams, so there is nothing to serve", err=True)
    try:
        asyncio.run(_serve(settings))
    except BadConfiguration as error:
        _wrong_use(str(error))
    except (Failure, CannotListen) as error:
        _went_wrong(str(error))


async def _serve(settings: Settings) -> None:
    await serve_app(build(settings))


@main.command()
@_CONFIG
def check(path: Path | None) -> None:
    """Validate the configuration and print what is in force, secrets masked."""
    click.echo(f"{effective(_settings(path))}\n{_ACCOUNTS}", nl=False)


@main.command()
@click.option("--once", is_flag=True, help="Print the table and end: status 0 if all is as it should be, else 1.")
def demo(once: bool) -> None:
    """See it at work: a gateway on loopback in front of small upstreams of its own, one of which lies.

    Needs no configuration and no network. Serves until Ctrl-C.
    """
    try:
        status = asyncio.run(run_demo(console(os.environ), once=once))
    except (Failure, CannotListen, OSError) as error:
        _went_wrong(str(error))
    sys.exit(status)


@main.group()
def names() -> None:
    """The names the cache remembers: what was first seen, and what moved since; and names that are locked."""


@names.command("list")
@_CONFIG
@click.option("--moved", is_flag=True, help="Only names whose upstream now says another digest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def names_list(path: Path | None, moved: bool, as_json: bool) -> None:
    """Print each release-like name with its first-seen digest, and what it moved to."""
    with _names(_settings(path)) as records:
        for upstream, pin, first in records.all_first_seen():
            if moved and first.moved_to is None:
                continue
            name = plain(f"{upstream}/{pin}")
            if as_json:
                now = str(first.moved_to) if first.moved_to else None
                click.echo(json.dumps({"name": name, "first": str(first.digest), "at": first.at, "moved_to": now}))
            else:
                click.echo(f"{name}  {first.digest}" + (f"  MOVED to {first.moved_to}" if first.moved_to else ""))


@names.command("accept")
@_CONFIG
@click.argument("name")
def names_accept(path: Path | None, name: str) -> None:
    """Take the digest that the release NAME (as `names list` prints it) moved to, here and in running gateways."""
    with _names(_settings(path)) as records:
        for upstream, pin, first in records.all_first_seen():
            if f"{upstream}/{pin}" != name:
                continue
            if first.moved_to is None:
                _went_wrong(f"{name} has not moved: it is {first.digest}")
            records.accept(upstream, pin, FirstSeen(first.moved_to, time.time()))
            click.echo(f"{name} is now {first.moved_to}")
            return
    _went_wrong(f"nothing is known of {plain(name)}; `apprproxy names list` prints what is")


@names.command("lock")
@_CONFIG
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The lock file to add to. Without it, the one lock_file that the configuration names.",
)
@click.argument("wanted", metavar="NAME…", nargs=-1, required=True)
def names_lock(path: Path | None, output: Path | None, wanted: tuple[str, ...]) -> None:
    """Write which digest each NAME has now, as an upstream says that is trusted, into a lock file.

    NAME is UPSTREAM/REPOSITORY:TAG or UPSTREAM/PACKAGE@RELEASE[/FORMAT]. What else stands in the file stays; running
    gateways read it again.
    """
    settings = _settings(path)
    file = output or _only_lock_file(settings)
    configure("auto", "error")
    try:
        resolved = asyncio.run(resolve(settings, wanted))
        digests = {name: digest for one in resolved for name, digest in one.digests.items()}
        before = update(file, digests) if digests else {}
    except BadConfiguration as error:
        _wrong_use(str(error))
    except (Failure, BadLock) as error:
        _went_wrong(str(error))
    for name, digest in sorted(digests.items()):
        click.echo(_change(plain(name), digest, before))
    failures = [f"{plain(one.name)}: {plain(one.failure)}" for one in resolved if one.failure]
    if failures:
        _went_wrong("\nerror: ".join(failures))


def _only_lock_file(settings: Settings) -> Path:
    files = lock_files(settings)
    if len(files) != 1:
        several = ", ".join(sorted(map(str, files))) or "none"
        raise click.UsageError(f"give --output: the configuration names not one lock_file but {several}")
    return files.pop()


def _change(name: str, digest: Digest, before: Mapping[str, Digest | None]) -> str:
    if name not in before:
        return f"kept     {name}  {digest}"
    old = before[name]
    return f"added    {name}  {digest}" if old is None else f"changed  {name}  {old} -> {digest}"


@contextmanager
def _names(settings: Settings) -> Iterator[DiskNames]:
    directory = settings.cache.directory.absolute()
    try:
        prepare(directory)
        records = DiskNames(directory / "names")
        try:
            yield records
        finally:
            records.close()
    except Failure as error:
        _went_wrong(str(error))


def _settings(path: Path | None) -> Settings:
    try:
        return load(path)
    except BadConfiguration as error:
        _wrong_use(str(error))


def _wrong_use(sentence: str) -> NoReturn:
    for line in sentence.splitlines():
        click.echo(f"configuration: {line}", err=True)
    sys.exit(2)


def _went_wrong(sentence: str) -> NoReturn:
    click.echo(f"error: {sentence}", err=True)
    sys.exit(1)
