"""Header fields, of clients and of upstreams, each as the text that the HTTP library makes of it."""

import ipaddress
from contextlib import suppress

from yarl import URL

from apprproxy.core.errors import Forbidden, Malformed
from apprproxy.core.host import Host, MalformedHost
from apprproxy.core.model import decimal_size
from apprproxy.face.headers import again, matches
from apprproxy.face.host import asked_host
from apprproxy.face.ranges import Unsatisfiable, closed_range, parse_range
from apprproxy.gateway.flights.fetch import content_range
from apprproxy.gateway.members.member import MAX_TRAIL, trail
from apprproxy.oci.manifest import stated_type
from apprproxy.upstream.auth import (
    MAX_LIFE,
    Account,
    NotAToken,
    Obtain,
    Obtained,
    Try,
    choose,
    dance,
    forget_scope,
    read_token,
)
from apprproxy.upstream.challenge import Challenge, read_challenges
from apprproxy.upstream.guard import Guard, MirrorGuard, Refused, foreign_url, inner, redact
from apprproxy.upstream.http import told_wait
from tests.fuzz.laws import may_be_told, text

SIZES = (0, 1, 100, 2**62)
_TAG = '"sha256:0"'
_NOW = 1_700_000_000.0
_BASE = URL("https://hub.example/base")
_GUARDS = (
    Guard(_BASE, frozenset({"cdn.example"}), frozenset({"auth.example:8443"})),
    MirrorGuard(URL("http://mirror.example:5000")),
)
_ACCOUNT = Account("bot", "secret")


def of_clients(data: bytes) -> None:
    """What is malformed counts for nothing; a range lies inside the content; a host has one spelling."""
    field = text(data)
    for size in SIZES:
        _range(field, size)
    assert not matches(field, _TAG) or field.strip() == "*" or _TAG in field
    assert not again(field, None) or "no-cache" in field.lower() or "max-age=0" in field.lower()
    _host(field)
    target, _, host = field.partition("\n")
    with suppress(Malformed):
        _spelt(asked_host(target, [host]))


def _range(field: str, size: int) -> None:
    try:
        part = parse_range(field, size)
    except Unsatisfiable:
        return
    if part is None:
        return
    assert field.isascii()
    assert 0 <= part.start < part.stop <= size
    span = closed_range(field)
    assert span is None or (span.start, min(span.stop, size)) == (part.start, part.stop)


def _host(field: str) -> None:
    with suppress(MalformedHost):
        _spelt(Host.parse(field))


def _spelt(host: Host | None) -> None:
    if host is not None:
        assert Host.parse(str(host)) == host == Host(host.anywhere.name, host.port)
        assert str(host).isascii()
        assert str(host).isprintable()


def of_upstreams(data: bytes) -> None:
    """Nothing raises but what says so, and no number is larger than a record takes."""
    field = text(data)
    _challenges(field)
    wait = told_wait(field, _NOW)
    assert wait is None or 0 <= wait < 1e12
    first, total = content_range(field)
    for size in (first, total, decimal_size(field)):
        assert size is None or 0 <= size < 10**18
    assert decimal_size(field) is None or field.isascii()
    kept = trail({"cache-status": field})
    assert kept in ("", field)
    assert len(kept) <= MAX_TRAIL
    assert kept.isprintable()
    assert stated_type(field).isascii()
    _urls(field)
    _token(data)


def _challenges(field: str) -> None:
    challenges = read_challenges([field])
    assert len(challenges) <= len(field)
    for challenge in challenges:
        assert challenge.scheme == challenge.scheme.lower() != ""
        assert forget_scope(challenge).get("scope") == ""
    for account in (None, _ACCOUNT):
        assert choose(challenges, account) in [None, *challenges]
        _danced(challenges, account)


def _danced(challenges: list[Challenge], account: Account | None) -> None:
    """At most two attempts and one token, whatever is challenged; one more of each where the token had been kept."""
    for kept in (False, True):
        assert _steps(challenges, account, kept=kept) in (
            [Try],
            [Try, Try],
            [Try, Obtain, Try],
            *([[Try, Obtain, Try, Obtain, Try]] if kept else []),
        )


def _steps(challenges: list[Challenge], account: Account | None, *, kept: bool) -> list[type]:
    steps = dance(account, "repository:a:pull", None)
    done: list[type] = []
    sent: object = None
    with suppress(StopIteration):
        while True:
            step = steps.send(sent)
            done.append(type(step))
            sent = Obtained("token", kept) if isinstance(step, Obtain) else challenges
            assert not isinstance(step, Try) or step.authorization is None or "\n" not in step.authorization
    return done


def _urls(field: str) -> None:
    for guard in _GUARDS:
        try:
            realm = guard.realm(field)
        except Refused as refusal:
            may_be_told(Forbidden("hub", str(refusal)))
            continue
        assert realm.scheme in ("http", "https")
        assert realm.user is None
        assert guard.base.scheme == "http" or realm.scheme == "https"
        redact(realm)
    _location(field)


def _location(field: str) -> None:
    for guard in _GUARDS:
        try:
            target = guard.base.join(foreign_url(field)).with_fragment(None)
            _redirected(guard, target)
        except Refused as refusal:
            may_be_told(Forbidden("hub", str(refusal)))
        except ValueError:  # no URL, which is forbidden as well
            continue


def _redirected(guard: Guard, target: URL) -> None:
    trusted = guard.redirect(guard.base, target)
    assert target.scheme == "https" or guard.base.scheme == "http"
    assert target.host in (guard.base.host, "cdn.example") or not trusted
    assert not inner(target.host or "") or not _is_address(target.host or "")
    redact(target)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _token(data: bytes) -> None:
    with suppress(NotAToken):
        token = read_token(data)
        assert 0 <= token.life <= MAX_LIFE
        assert token.text.isascii()
        assert token.text.isprintable()
