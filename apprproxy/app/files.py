"""The files that a configuration names, tried before anything is made: which cannot be used, and what is doubtful."""

import shutil
from collections.abc import Callable, Iterator
from functools import partial

from yarl import URL

from apprproxy.app.lines import account, client_tls, lock, server_tls
from apprproxy.settings import BadConfiguration, Settings
from apprproxy.settings.upstream import Upstream

_GIB = 1024**3


def try_files(settings: Settings) -> None:
    """Raises BadConfiguration with all that is wrong."""
    faults = []
    for attempt in _attempts(settings):
        try:
            attempt()
        except BadConfiguration as error:
            faults.append(str(error))
    if faults:
        raise BadConfiguration("\n".join(faults))


def _attempts(settings: Settings) -> Iterator[Callable[[], object]]:
    yield partial(server_tls, settings.server.tls)
    for name, upstream in settings.upstreams.items():
        yield partial(client_tls, f"upstreams.{name}", upstream.tls)
        yield partial(account, name, upstream.auth, URL(upstream.url))
        if upstream.lock_file is not None:
            yield partial(lock, name, upstream.lock_file, lambda _: None)
        for number, mirror in enumerate(upstream.mirrors, 1):
            yield partial(client_tls, f"upstreams.{name}.mirrors (mirror-{number})", mirror.tls)


def doubts(settings: Settings) -> Iterator[str]:
    """What a gateway starts with, and is hardly meant. Raises BadConfiguration where a file cannot be read."""
    for name, upstream in settings.upstreams.items():
        auth, url = upstream.auth, URL(upstream.url)
        if auth is not None and auth.docker_config is not None and account(name, auth, url)() is None:
            yield (
                f"upstreams.{name}.auth.docker_config: {auth.docker_config} has no account for"
                f" {url.host_port_subcomponent}, so that none is used"
            )
        yield from _names_with_their_place(name, upstream)
    disk = _disk(settings)
    if disk is not None and disk < settings.cache.max_size:
        yield (
            f"cache.max_size: {settings.cache.max_size / _GIB:.1f} GiB are more than the whole disk of"
            f" {settings.cache.directory} has, {disk / _GIB:.1f} GiB: it will be full before anything is evicted"
        )


def _names_with_their_place(name: str, upstream: Upstream) -> Iterator[str]:
    """Clients write the upstream before a name; the upstream itself does not."""
    for key in ("own", "allow", "deny"):
        for pattern in getattr(upstream, key):
            first, _, rest = pattern.partition("/")
            if rest and first in (name, URL(upstream.url).host):
                yield (
                    f"upstreams.{name}.{key}: {pattern} is for names that begin with {first}/ at that upstream itself;"
                    f" for /v2/{name}/{rest} write {rest}"
                )


def _disk(settings: Settings) -> int | None:
    """Bytes in all; None where whoever asks may not look, or the name is longer than a path can be."""
    directory = settings.cache.directory.absolute()
    try:
        there = next(path for path in (directory, *directory.parents) if path.exists())
        return shutil.disk_usage(there).total
    except OSError:
        return None
