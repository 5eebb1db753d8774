"""The files that a configuration names, tried before anything is made: which cannot be used."""

from collections.abc import Callable, Iterator
from functools import partial

from yarl import URL

from apprproxy.app.lines import account, client_tls, lock, server_tls
from apprproxy.settings import BadConfiguration, Settings


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
        yield partial(account, name, upstream.account, URL(upstream.url))
        if upstream.lock_file is not None:
            yield partial(lock, name, upstream.lock_file, lambda _: None)
        for number, mirror in enumerate(upstream.mirrors, 1):
            yield partial(client_tls, f"upstreams.{name}.mirrors (mirror-{number})", mirror.tls)
