"""What a gateway starts with and is hardly meant: told by `check`, and once in the log."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from yarl import URL

from apprproxy.app.lines import account
from apprproxy.core.model import MIB
from apprproxy.gateway.members.rules import matches
from apprproxy.settings import Settings
from apprproxy.settings.units import write_duration
from apprproxy.settings.upstream import Upstream
from apprproxy.store.directory.place import has_entries, nearest, strange

_GIB = 1024 * MIB
_API = "/api/v1"
CLIENTS_WAIT = 30.0
"""Seconds without a header after which containerd gives up."""


def doubts(settings: Settings) -> Iterator[str]:
    """Raises BadConfiguration where a file cannot be read."""
    if not settings.upstreams:
        yield "upstreams: there are none, so that there is nothing to serve"
    for name, upstream in settings.upstreams.items():
        yield from _no_registry(name, upstream)
        yield from _no_account(name, upstream)
        yield from _written_by_us(name, upstream)
        yield from _names_with_their_place(name, upstream)
        yield from _asked_twice_over(name, upstream)
        yield from list(_asked_nothing(name, upstream)) or _owned_in_vain(name, upstream)
    for name, view in settings.views.items():
        if not view.members:
            yield f"views.{name}: it has no members, so that there is nothing in it"
    yield from _directory(settings)
    if (patience := settings.delivery.patience) > CLIENTS_WAIT:
        yield (
            f"delivery.patience: {write_duration(patience)} are longer than clients wait for a header"
            f" (containerd {write_duration(CLIENTS_WAIT)})"
        )
    if (memory := os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) < settings.cache.memory:
        yield f"cache.memory: {_about(settings.cache.memory)} are more than this machine has, {_about(memory)}"


def _no_registry(name: str, upstream: Upstream) -> Iterator[str]:
    host = URL(upstream.url).host
    if upstream.kind == "oci" and host in ("docker.io", "hub.docker.com"):
        yield (
            f"upstreams.{name}.url: at {host} there are pages and no registry; Docker Hub's is"
            " https://registry-1.docker.io"
        )


def _no_account(name: str, upstream: Upstream) -> Iterator[str]:
    auth, url = upstream.auth, URL(upstream.url)
    if auth is not None and auth.docker_config is not None and account(name, auth, url)() is None:
        yield (
            f"upstreams.{name}.auth.docker_config: {auth.docker_config} has no account for"
            f" {url.host_port_subcomponent}, so that none is used"
        )


def _written_by_us(name: str, upstream: Upstream) -> Iterator[str]:
    """A connection has the certificate, whosever Authorization is sent by it."""
    if upstream.writes == "pass" and upstream.tls.cert is not None:
        yield (
            f"upstreams.{name}.tls.cert: clients write by it as well (writes: pass), also those without an account: see"
            " to it that the upstream takes it for nobody who may push"
        )


def _asked_twice_over(name: str, upstream: Upstream) -> Iterator[str]:
    """Of App Registry, whose paths begin with the prefix and then /api/v1."""
    url, prefix = URL(upstream.url).path.rstrip("/"), upstream.full_prefix
    for key, path in (("url", url), ("prefix", prefix)):
        if upstream.kind == "appr" and path.endswith(_API):
            yield (
                f"upstreams.{name}.{key}: {_API} comes after the prefix already, so that it is asked for at"
                f" {path}{prefix if key == 'url' else ''}{_API}/…; leave it out of {key}"
            )
    if prefix and url.endswith(prefix):
        yield (
            f"upstreams.{name}.url: {prefix} is the prefix already, so that it is asked for at"
            f" {prefix}{prefix}{_API}/…; leave it out of url"
        )


def _owned_in_vain(name: str, upstream: Upstream) -> Iterator[str]:
    """Nobody is asked for such names: no other upstream is, and this one may not. Only what is sure."""
    for pattern in upstream.own:
        denied = next((deny for deny in upstream.deny if "?" not in deny and matches(deny, pattern)), None)
        if denied is not None:
            yield f"upstreams.{name}.own: {pattern} is denied by {denied}, so that nobody is asked for such names"
        elif all(_apart(pattern, allow) for allow in upstream.allow):
            yield f"upstreams.{name}.own: {pattern} is in none of allow, so that nobody is asked for such names"


def _asked_nothing(name: str, upstream: Upstream) -> Iterator[str]:
    if "*" in upstream.deny or not upstream.allow:
        key = "allow" if not upstream.allow else "deny"
        yield f"upstreams.{name}.{key}: it is asked for no name at all, and every client gets 403"


def _apart(one: str, other: str) -> bool:
    """Is there no name that fits both? By what they begin with."""
    first, second = (re.split(r"[*?]", pattern, maxsplit=1)[0] for pattern in (one, other))
    return not first.startswith(second) and not second.startswith(first)


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


def _directory(settings: Settings) -> Iterator[str]:
    directory = settings.cache.directory
    if directory.parts[:1] and directory.parts[0].startswith(("~", "$")):
        yield f"cache.directory: {directory} is taken as it is written, below {os.getcwd()}: write the whole path"
    with suppress(OSError):
        if why := strange(directory.absolute()):
            yield f"cache.directory: {why}"
    if settings.offline and not _holds_anything(directory.absolute()):
        yield (
            f"offline: nobody is asked, and nothing is held in {directory}: is it the cache that was carried here, and"
            " is its volume mounted?"
        )
    disk = _disk(settings)
    if disk is not None and disk < settings.cache.max_size:
        yield (
            f"cache.max_size: {_about(settings.cache.max_size)} are more than the whole disk of {directory} has,"
            f" {_about(disk)}: it will be full before anything is evicted"
        )


def _about(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / MIB:.0f} MiB"


def _holds_anything(directory: Path) -> bool:
    """Where one may not look it may."""
    try:
        return has_entries(directory / "blobs" / "sha256")
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _disk(settings: Settings) -> int | None:
    """Bytes in all; None where it has no size, whoever asks may not look, or the name is longer than a path can be."""
    directory = settings.cache.directory.absolute()
    try:
        return shutil.disk_usage(nearest(directory)).total or None
    except OSError:
        return None
