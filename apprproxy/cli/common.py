"""What every command begins with, its configuration, and how it says that something went wrong."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from apprproxy.core.errors import Failure
from apprproxy.ops.logs import plain
from apprproxy.settings import BadConfiguration, Settings, load
from apprproxy.store.directory.becoming import Owner, become, owner_of

Command = TypeVar("Command", bound=Callable[..., Any])

CONFIG = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="APPRPROXY_CONFIG",
    show_envvar=True,
    help="The configuration file (YAML). Without one, defaults and APPRPROXY_… variables hold.",
)


def too_early(command: str) -> Callable[[Command], Command]:
    """An option of a group, which has no configuration: the file is named after one of its commands, such as this."""

    def refuse(_: click.Context, __: click.Parameter, given: Path | None) -> None:
        if given is not None:
            raise click.UsageError(f"--config stands after the command: {command} --config {given}")

    return click.option("--config", type=click.Path(path_type=Path), hidden=True, expose_value=False, callback=refuse)


def settings_of(path: Path | None) -> Settings:
    try:
        return load(path)
    except BadConfiguration as error:
        wrong_use(str(error))


def asking_settings_of(path: Path | None) -> Settings:
    """For what asks upstreams: there must be some."""
    settings = settings_of(path)
    if not settings.upstreams:
        wrong_use("there are no upstreams in it; --config FILE (or APPRPROXY_CONFIG) says which file it is")
    return settings


def entered(settings: Settings) -> Settings:
    """The same, once root is who its cache belongs to. Before anything of that is touched, and before threads."""
    if (owner := owner_of(settings.cache.directory.absolute())) is not None:
        go_on_as(owner)
    return settings


def go_on_as(owner: Owner) -> None:
    """As far as this root may, and not without a word."""
    with failures_told():
        if become(owner):
            click.echo(f"note: going on as {owner.name}, whose {owner.path} is", err=True)


def warn_of_stranger(settings: Settings, upstream: str) -> None:
    """It may have been configured once; else it is mistyped."""
    if upstream not in settings.upstreams:
        there = ", ".join(settings.upstreams) or "none"
        click.echo(f"warning: the configuration has no upstream {plain(upstream)!r}; it has {there}", err=True)


@contextmanager
def failures_told() -> Iterator[None]:
    """What is expected to go wrong inside ends the command with one line."""
    try:
        yield
    except BadConfiguration as error:
        wrong_use(str(error))
    except Failure as error:
        went_wrong(str(error))


def wrong_use(sentence: str) -> NoReturn:
    for line in sentence.splitlines():
        click.echo(f"configuration: {line}", err=True)
    sys.exit(2)


def went_wrong(sentence: str) -> NoReturn:
    click.echo(f"error: {sentence}", err=True)
    sys.exit(1)
