"""`apprproxy names`: what was first seen, what moved since, and names that are locked."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import orjson

from apprproxy.app.protocols import PROTOCOLS, protocol_of
from apprproxy.cli.apart import apart
from apprproxy.cli.common import (
    CONFIG,
    asking_settings_of,
    entered,
    failures_told,
    settings_of,
    too_early,
    went_wrong,
    wrong_use,
)
from apprproxy.core.digest import Digest, MalformedDigest
from apprproxy.core.errors import Failure
from apprproxy.core.lock import MAX_TEXT, BadLock
from apprproxy.core.model import FirstSeen
from apprproxy.finding import provenance, provenance_lines
from apprproxy.locking import Resolved, lock_files, resolve
from apprproxy.ops.journal import Journal
from apprproxy.ops.logs import plain
from apprproxy.settings import BadConfiguration, Settings
from apprproxy.store.directory.place import expect, prepare
from apprproxy.store.names.lock_file import update
from apprproxy.store.names.names import DiskNames


@click.group(short_help="Names: where they came from, which moved, which are locked.")
@too_early("apprproxy names list")
def names() -> None:
    """The names the cache remembers: what was first seen, and what moved since; and names that are locked."""


@names.command("list", short_help="The first digest of each name, and what it moved to.")
@CONFIG
@click.option("--moved", is_flag=True, help="Only names whose upstream now says another digest.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def names_list(path: Path | None, moved: bool, as_json: bool) -> None:
    """Print each release-like name with its first-seen digest, and what it moved to."""
    with _names(entered(settings_of(path))) as records:
        for upstream, title, first in records.all_first_seen():
            if moved and first.moved_to is None:
                continue
            name = plain(f"{upstream}/{title}")
            if as_json:
                now = str(first.moved_to) if first.moved_to else None
                click.echo(json.dumps({"name": name, "first": str(first.digest), "at": first.at, "moved_to": now}))
            else:
                click.echo(f"{name}  {first.digest}" + (f"  MOVED to {first.moved_to}" if first.moved_to else ""))


def _digest(_: click.Context, __: click.Parameter, given: str | None) -> Digest | None:
    try:
        return Digest.parse(given) if given is not None else None
    except MalformedDigest as error:
        raise click.BadParameter(plain(str(error))) from None


@names.command("accept", short_help="Take the new digest of a release that moved.")
@CONFIG
@click.argument("name")
@click.argument("digest", required=False, callback=_digest)
def names_accept(path: Path | None, name: str, digest: Digest | None) -> None:
    """Take the digest that the release NAME (as `names list` prints it) moved to, here and in running gateways.

    With DIGEST that one or none: its upstream may say another by now than the one that was looked at.
    """
    formats = list[str]()
    with _names(entered(settings_of(path))) as records:
        for upstream, title, first in records.all_first_seen():
            if f"{upstream}/{title}".startswith(f"{name}/"):
                formats.append(f"{upstream}/{title}")
            if f"{upstream}/{title}" != name:
                continue
            if first.moved_to is None:
                went_wrong(f"{name} has not moved: it is {first.digest}")
            if digest not in (None, first.moved_to):
                went_wrong(f"{name} moved to {first.moved_to} by now, which is not {digest}; nothing was changed")
            spelling = PROTOCOLS[protocol_of(title)].spelling
            now = FirstSeen(first.moved_to, time.time())
            records.accept(upstream, spelling.repository(title), title, now, spelling.aliases(title))
            click.echo(f"{name} is now {first.moved_to}; what is held of it is of before until it is pulled again")
            return
    if formats:
        went_wrong(f"name the format as well: {plain(', '.join(formats))}")
    went_wrong(f"nothing is known of {plain(name)}; `apprproxy names list` prints what is")


@names.command("lock", short_help="Write the digests that names have now to a lock file.")
@CONFIG
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The lock file to add to. Without it, the one lock_file that the configuration names.",
)
@click.argument("wanted", metavar="NAME…", nargs=-1, required=True)
def names_lock(path: Path | None, output: Path | None, wanted: tuple[str, ...]) -> None:
    """Write which digest each NAME has now, as an upstream says that is trusted, into a lock file.

    NAME is UPSTREAM/REPOSITORY:TAG or UPSTREAM/PACKAGE@RELEASE[/FORMAT]. What else stands in the file stays; running
    gateways read it again. What is asked for is kept in the cache of the configuration, which is made if there is none.
    """
    settings = asking_settings_of(path)
    file = output or _only_lock_file(settings)
    told = apart(settings.cache.directory.absolute(), lambda: _told(settings, wanted), MAX_TEXT)
    resolved = [Resolved.read(one) for one in orjson.loads(told)]
    digests = {name: digest for one in resolved for name, digest in one.digests.items()}
    try:
        before = update(file, digests) if digests else {}
    except BadLock as error:
        went_wrong(str(error))
    for name, digest in sorted(digests.items()):
        click.echo(_change(plain(name), digest, before))
    failures = [f"{plain(one.name)}: {plain(one.failure)}" for one in resolved if one.failure]
    if failures:
        went_wrong("\nerror: ".join(failures))


@names.command("show", short_help="Where a name and its bytes came from.")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as /api/provenance answers.")
@click.argument("name")
def names_show(path: Path | None, as_json: bool, name: str) -> None:
    """Print where NAME and its bytes came from, as far as the cache holds it. No upstream is asked.

    NAME is UPSTREAM/REPOSITORY:TAG or UPSTREAM/PACKAGE@RELEASE[/FORMAT].
    """
    settings = entered(settings_of(path))
    try:
        expect(settings.cache.directory.absolute())
        told = asyncio.run(provenance(settings, name))
    except BadConfiguration as error:
        wrong_use(str(error))
    except Failure as error:
        went_wrong(plain(str(error)))
    click.echo(json.dumps(told) if as_json else "\n".join(provenance_lines(told)))


def _told(settings: Settings, wanted: Sequence[str]) -> bytes:
    with failures_told():
        return orjson.dumps([one.told() for one in asyncio.run(resolve(settings, wanted))])


def _only_lock_file(settings: Settings) -> Path:
    files = sorted(map(str, lock_files(settings)))
    if len(files) > 1:
        raise click.UsageError(f"say with --output which file to write: lock_file is {' and '.join(files)}")
    if not files:
        raise click.UsageError("say with --output which file to write: no upstream has a lock_file")
    return Path(files[0])


def _change(name: str, digest: Digest, before: Mapping[str, Digest | None]) -> str:
    if name not in before:
        return f"kept     {name}  {digest}"
    old = before[name]
    return f"added    {name}  {digest}" if old is None else f"changed  {name}  {old} -> {digest}"


@contextmanager
def _names(settings: Settings) -> Iterator[DiskNames]:
    directory = settings.cache.directory.absolute()
    try:
        expect(directory)
        prepare(directory)
        records = DiskNames(directory / "names", Journal())
        try:
            yield records
        finally:
            records.close()
    except Failure as error:
        went_wrong(str(error))
