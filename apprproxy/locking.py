"""Names resolved at upstreams that are trusted, by the gateway's own objects, for the lock file of one that is not."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apprproxy.app import App, build_beside
from apprproxy.app.protocols import PROTOCOLS
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Failure, Malformed
from apprproxy.core.lock import BadLock, Lock
from apprproxy.core.model import Cache, Clock, NameWant, Place
from apprproxy.settings import Settings


@dataclass(frozen=True, slots=True)
class Resolved:
    """A name as the operator gave it, and what it adds to a lock file; or why that could not be told."""

    name: str
    digests: Mapping[str, Digest] = field(default_factory=dict)
    failure: str = ""

    def told(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "digests": {name: str(one) for name, one in self.digests.items()},
            "failure": self.failure,
        }

    @staticmethod
    def read(told: dict[str, Any]) -> "Resolved":
        """Raises MalformedDigest."""
        digests = {name: Digest.parse(text) for name, text in told["digests"].items()}
        return Resolved(told["name"], digests, told["failure"])


def lock_files(settings: Settings) -> set[Path]:
    return {upstream.lock_file for upstream in settings.upstreams.values() if upstream.lock_file is not None}


async def resolve(settings: Settings, names: Sequence[str], *, now: Clock = time.time) -> list[Resolved]:
    """Never raises for one of the names; raises what ``build_beside`` raises."""
    app = build_beside(_without_locks(settings), now=now)
    try:
        return [await _resolved(app, settings, name) for name in names]
    finally:
        await app.close()


def _without_locks(settings: Settings) -> Settings:
    """The lock file may be the one that is about to be made. Everything else holds, ``own`` above all."""
    upstreams = {
        name: upstream.model_copy(update={"names": "refuse", "lock_file": None})
        if upstream.names == "locked"
        else upstream
        for name, upstream in settings.upstreams.items()
    }
    return settings.model_copy(update={"upstreams": upstreams})


async def _resolved(app: App, settings: Settings, name: str) -> Resolved:
    try:
        digests = await _digests(app, settings, parse(settings, name))
        Lock.of(digests)
    except (Failure, BadLock) as failure:
        return Resolved(name, failure=str(failure))
    return Resolved(name, digests)


async def _digests(app: App, settings: Settings, want: NameWant) -> dict[str, Digest]:
    named = await app.gateway.lookup(want, again=True)
    if settings.offline or named.verdict.cache is Cache.STALE:
        raise Malformed(f"{want.place.name} could not be asked now, and what it said before is not locked")
    spelling = PROTOCOLS[settings.upstreams[want.place.name].kind].spelling
    meanings = spelling.meanings(want, named.record.target.digest, await named.document.read())
    if not meanings:
        raise Malformed(f"{want.place.name} has no format of {want.repository}@{want.name}")
    return {one.title: one.expected.digest for one in meanings}


def parse(settings: Settings, name: str) -> NameWant:
    """``<upstream>/<repository>:<tag>`` or ``<upstream>/<package>@<release>[/<format>]``; raises Malformed."""
    first, _, rest = name.partition("/")
    upstream = settings.upstreams.get(first)
    if upstream is None:
        raise Malformed(f"a name to lock begins with an upstream's, and there is none called {first[:80]!r}")
    if upstream.names != "trust":
        raise Malformed(f"upstreams.{first}.names is {upstream.names}, so its word is not taken; name a trusted one")
    return PROTOCOLS[upstream.kind].spelling.wants(Place.of(first, upstream.kind), rest)[-1]
