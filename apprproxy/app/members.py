"""Upstreams and their mirrors, as settings describe them."""

import hashlib
from dataclasses import dataclass, field

from yarl import URL

from apprproxy.app.lines import account, client_tls, foreign_tls, lock
from apprproxy.app.protocols import PROTOCOLS, speaks
from apprproxy.core.events import Observer, ReadAnew, Trouble
from apprproxy.core.label import Label, mirror
from apprproxy.core.model import KIB, Clock, Terms, Where
from apprproxy.core.ports.store import Brief
from apprproxy.core.ports.upstream import Locked
from apprproxy.gateway.members.health import FOR_MIRRORS, FOR_OWNERS, Health
from apprproxy.gateway.members.member import Member, Source
from apprproxy.gateway.members.rules import Owned, Rules
from apprproxy.gateway.members.watched import Watched
from apprproxy.settings import Settings
from apprproxy.settings.mirror import Mirror as MirrorSettings
from apprproxy.settings.protocols import KEYS
from apprproxy.settings.upstream import Upstream as UpstreamSettings
from apprproxy.store.index.membership import Open, upstream_of
from apprproxy.upstream.accounts import fixed
from apprproxy.upstream.guard import Guard, MirrorGuard
from apprproxy.upstream.http import HttpUpstream
from apprproxy.upstream.sessions import Line, Sessions

BUSY_MIRROR = 1.0
"""Seconds after which one whose connections are all in use is passed over."""
SLOWEST_MIRROR = 16 * KIB
"""Bytes a second. Its owner can be asked instead; an owner may be as slow as it likes, since there is nobody else."""


@dataclass(frozen=True, slots=True)
class World:
    """What every upstream and mirror is given. ``opened`` takes what is to be closed."""

    agent: dict[str, str]
    brief: Brief
    observer: Observer
    now: Clock
    owned: tuple[Owned, ...]
    opened: list[HttpUpstream] = field(default_factory=list)


def owned_in(settings: Settings) -> tuple[Owned, ...]:
    """Which names only one upstream is asked for."""
    return tuple(
        Owned(name, upstream.kind, pattern) for name, upstream in settings.upstreams.items() for pattern in upstream.own
    )


def mirrors_of(settings: Settings) -> list[Label]:
    return [
        mirror(name, number)
        for name, upstream in settings.upstreams.items()
        for number in range(1, len(upstream.mirrors) + 1)
    ]


def credentials_in(settings: Settings) -> dict[str, dict[str, str]]:
    """Of each upstream: which key has its secret, and which file."""
    auths = ((name, upstream.account) for name, upstream in settings.upstreams.items())
    return {
        name: {"key": f"upstreams.{name}.auth.{auth.key}", **({"path": str(auth.file)} if auth.file else {})}
        for name, auth in auths
        if auth is not None
    }


def member(name: str, settings: UpstreamSettings, world: World) -> Member:
    dialect = PROTOCOLS[settings.kind].dialect(name, settings)
    terms = Terms(
        fresh_for=settings.fresh_for,
        stale_for=settings.stale_for,
        missing_for=settings.missing_for,
        moved=settings.moves,
        gone=settings.goes,
        writes=settings.writes,
        names=settings.names,
        timeout=settings.timeouts.name,
        revalidate=settings.timeouts.revalidate,
    )
    owner = _upstream(name, settings, world)
    world.opened.append(owner)
    health = Health(Label(name), FOR_OWNERS, world.now, world.observer)
    mirrors = tuple(_mirror(mirror(name, number), keys, world) for number, keys in enumerate(settings.full_mirrors, 1))
    rules, private = _rules(name, settings, world.owned), _is_private(settings)
    locked = _locked(name, settings, world.observer)
    late = settings.timeouts.name / 2
    asked = Watched(owner, health, connections=settings.connections, late=late, observer=world.observer)
    identity = identity_of(name, settings)
    return Member(
        asked, dialect, terms, health, identity, rules, mirrors, locked, private, connections=settings.connections
    )


def _rules(name: str, settings: UpstreamSettings, owned: tuple[Owned, ...]) -> Rules:
    return Rules(name, settings.kind, tuple(settings.allow), tuple(settings.deny), owned)


def open_in(settings: Settings) -> Open:
    """Which repositories the configuration leaves: to each upstream as it is there, and to those of its name."""
    owned = owned_in(settings)
    rules = {name: _rules(name, one, owned) for name, one in settings.upstreams.items()}
    identities = {identity: rules[name] for name, identity in identities_in(settings).items()}

    def serves(where: Where) -> bool:
        return _admits(rules.get(upstream_of(where.upstream)), where)

    return Open(lambda where: _admits(identities.get(where.upstream), where), serves)


def _admits(rules: Rules | None, where: Where) -> bool:
    return rules is not None and rules.refusal(where.repository) is None


def public_in(settings: Settings) -> list[str]:
    """The identities of the upstreams that are asked without an account."""
    return [identity_of(name, one) for name, one in settings.upstreams.items() if not _is_private(one)]


def _is_private(settings: UpstreamSettings) -> bool:
    return settings.account is not None or settings.tls.cert is not None


def _locked(name: str, settings: UpstreamSettings, observer: Observer) -> Locked | None:
    path = settings.lock_file
    if path is None:
        return None

    def trouble(reason: str) -> None:
        observer(Trouble("lock file", name, str(path), reason))

    def renewed() -> None:
        observer(ReadAnew("lock file", name, str(path)))

    return PROTOCOLS[settings.kind].locked(name, lock(name, path, trouble, renewed))


def identity_of(name: str, settings: UpstreamSettings) -> str:
    """A Member's: another for another place, account or client certificate under the same name. A hash of names, not of
    secrets."""
    auth = settings.account
    account = (auth.username, str(auth.docker_config or "")) if auth is not None else ()
    certificate = (f"certificate {settings.tls.cert}",) if settings.tls.cert is not None else ()
    facts = "\0".join((settings.kind, settings.url, settings.full_prefix, *account, *certificate))
    return f"{name}-{hashlib.sha256(facts.encode()).hexdigest()[:12]}"


def identities_in(settings: Settings) -> dict[str, str]:
    """By name."""
    return {name: identity_of(name, upstream) for name, upstream in settings.upstreams.items()}


def _upstream(name: str, settings: UpstreamSettings, world: World) -> HttpUpstream:
    auth = settings.account
    realms = frozenset(settings.auth.realms) if settings.auth is not None else frozenset[str]()
    guard = Guard(URL(settings.url), frozenset(settings.redirects), realms)

    def trouble(reason: str) -> None:
        world.observer(Trouble("credential", name, "auth", reason))

    def renewed() -> None:
        world.observer(ReadAnew("credential", name, str(auth.file) if auth is not None else ""))

    line = Line(
        settings.timeouts.connect,
        settings.timeouts.read,
        settings.connections,
        settings.proxy,
        client_tls(f"upstreams.{name}", settings.tls),
        foreign_tls(f"upstreams.{name}", settings.tls),
    )
    return HttpUpstream(
        Label(name),
        guard,
        Sessions(line, world.agent),
        account(name, auth, URL(settings.url), trouble, renewed),
        world.brief,
        world.observer,
        world.now,
        unasked=PROTOCOLS[settings.kind].unasked,
    )


def _mirror(label: Label, keys: MirrorSettings, world: World) -> Source:
    """``keys`` are filled in. Never with an account: the upstream's own is not the mirror's business."""
    assert keys.kind is not None
    assert keys.timeouts.connect is not None
    assert keys.timeouts.read is not None
    line = Line(
        keys.timeouts.connect,
        keys.timeouts.read,
        keys.connections,
        keys.proxy,
        client_tls(f"upstreams.{label.upstream}.mirrors ({label.source})", keys.tls),
        foreign_tls(f"upstreams.{label.upstream}.mirrors ({label.source})", keys.tls),
        slowest=SLOWEST_MIRROR,
    )
    url = URL(keys.url)
    guard = MirrorGuard(url if keys.kind == "static" or KEYS[keys.kind].based else url.origin())
    upstream = HttpUpstream(
        label, guard, Sessions(line, world.agent), fixed(None), world.brief, world.observer, world.now
    )
    world.opened.append(upstream)
    health = Health(label, FOR_MIRRORS, world.now, world.observer)
    watched = Watched(upstream, health, connections=keys.connections, patience=BUSY_MIRROR)
    return Source(label.source, watched, speaks(label.name, keys), health)
