"""Whole answers of upstreams, as their dialects take them, and what becomes of them after.

The first line says what is asked for; replies stand after it, parted by ``%%``, each with its status, header fields,
an empty line and its body. The last one is given again for as long as something is asked.
"""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat

import orjson

from apprproxy.appregistry import merge, shapes
from apprproxy.appregistry.dialect import AppRegistryDialect
from apprproxy.appregistry.spelling import PackageSpelling
from apprproxy.appregistry.writes import Change
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed, UpstreamFault
from apprproxy.core.kind import Kind
from apprproxy.core.model import Found, NameWant, Place
from apprproxy.core.ports.upstream import Plan, Reply, Request
from apprproxy.oci import referrers
from apprproxy.oci.dialect import OciDialect
from apprproxy.oci.lists import MAX_PAGES
from apprproxy.oci.merge import merged_catalogs
from apprproxy.oci.paging import Page, tag_list
from tests.fuzz.laws import may_be_told, text

_PLACE = Place("hub", ("hub",))
_EMPTY = Digest.of(b"")
_OTHER = Digest.of(b"other")
_OCI = {
    b"tag": NameWant(_PLACE, Kind.TAG, "library/app", "1.0"),
    b"tags": NameWant(_PLACE, Kind.TAGS, "library/app"),
    b"repository": NameWant(_PLACE, Kind.REPOSITORY, "library/app"),
    b"catalog": NameWant(_PLACE, Kind.CATALOG),
    b"presence": NameWant(_PLACE, Kind.PRESENCE, "library/app", str(_EMPTY)),
    b"manifest": NameWant(_PLACE, Kind.MANIFEST_PRESENCE, "library/app", str(_EMPTY)),
    b"referrers": NameWant(_PLACE, Kind.REFERRERS, "library/app", str(_EMPTY)),
}
_PACKAGES = {
    b"version": NameWant(_PLACE, Kind.VERSION),
    b"packages": NameWant(_PLACE, Kind.PACKAGES),
    b"package": NameWant(_PLACE, Kind.PACKAGE, "alice/nginx"),
    b"release": NameWant(_PLACE, Kind.RELEASE, "alice/nginx", "0.1.0"),
    b"exact": NameWant(_PLACE, Kind.RELEASE, "alice/nginx", "0.1.0/helm"),
    b"only": NameWant(_PLACE, Kind.RELEASE, "alice/nginx", ">=0.1/-"),
    b"default": NameWant(_PLACE, Kind.RELEASE, "alice/nginx", "default/-"),
    b"channels": NameWant(_PLACE, Kind.CHANNELS, "alice/nginx"),
    b"channel": NameWant(_PLACE, Kind.CHANNEL, "alice/nginx", "stable"),
    b"repository": NameWant(_PLACE, Kind.REPOSITORY, "alice/nginx"),
    b"presence": NameWant(_PLACE, Kind.PRESENCE, "alice/nginx", str(_EMPTY)),
}
_MOST = 2 * MAX_PAGES + 4
"""Requests for one name."""


def of_oci(data: bytes) -> None:
    kind, _, rest = data.partition(b"\n")
    want = _OCI.get(kind)
    if want is None:
        return
    dialect = OciDialect("hub")
    found = _carried_out(dialect.lookup(want), rest)
    if found is None or found.body is None:
        return
    dialect.children(found.body)
    match want.kind:
        case Kind.TAGS:
            _tags(found.body)
        case Kind.CATALOG:
            names = merged_catalogs([("hub", found.body), ("other", found.body)], lambda _, __: True)
            assert sorted(set(names)) == list(names)
            orjson.dumps(names)
        case Kind.REFERRERS:
            assert referrers.count(referrers.filtered(found.body, "a/b")) <= referrers.count(found.body)


def _tags(body: bytes) -> None:
    """Page by page they are all of them, each once."""
    known = tag_list(body)
    seen: list[str] = []
    page = Page(7, None)
    while True:
        part = known.page(page)
        seen += part.tags
        orjson.loads(part.written())
        if part.more is None:
            break
        page = Page(7, part.tags[-1])
    assert list(known.tags) == seen


def of_app_registry(data: bytes) -> None:
    kind, _, rest = data.partition(b"\n")
    want = _PACKAGES.get(kind)
    if want is None:
        _pushed(data)
        return
    dialect = AppRegistryDialect("hub")
    found = _carried_out(dialect.lookup(want), rest)
    if found is None or found.body is None:
        return
    dialect.children(found.body)
    for title in found.titles:
        assert " " not in title
    match want.kind:
        case Kind.PACKAGES:
            _merged(found.body)
        case Kind.PACKAGE | Kind.RELEASE:
            _released(dialect, want, found)


def _merged(body: bytes) -> None:
    """Idempotent, and of the same shape."""
    once = merge.merged_documents([("hub", body), ("other", body)], lambda _, __: True)
    again = merge.written(merge.matching(once, ""))
    shapes.check_packages(again)
    assert [one.name for one in once] == [one.name for one in merge.merged([merge.entries(again)])]
    orjson.dumps([one.name for one in once])


def _released(dialect: AppRegistryDialect, want: NameWant, found: Found) -> None:
    assert found.body is not None
    for title in found.titles:
        held = dialect.with_digests(want, found.body, {title: _OTHER})
        assert _OTHER in [one.unpacked for one in dialect.children(held)]
    assert dialect.with_digests(want, found.body, {}) is not None
    with suppress(Malformed):
        for meaning in PackageSpelling().meanings(want, found.target.digest, found.body):
            assert meaning.title in found.titles


def _pushed(data: bytes) -> None:
    """Whatever a client pushes goes on as it came."""
    write = Change(_PLACE, "POST", "/api/v1/packages/alice/nginx", package="alice/nginx").with_body(data, "", None)
    assert data == write.body
    assert all(title.startswith("alice/nginx@") and " " not in title for title in write.titles)


def _carried_out(plan: Plan[Found], replies: bytes) -> Found | None:
    """None where it raised what a plan may raise."""
    answers = _answers(replies)
    asked = 0
    try:
        step: Request = next(plan)
        while True:
            asked += 1
            assert asked <= _MOST
            assert step.path.isascii()
            assert step.query.isascii()
            step = plan.send(next(answers))
    except StopIteration as end:
        found: Found = end.value
        assert found.body is None or found.target.size == len(found.body)
        return found
    except UpstreamFault as fault:
        may_be_told(fault)
        return None


def _answers(replies: bytes) -> Iterator[Reply]:
    each = [_reply(raw) for raw in replies.split(b"\n%%\n")]
    return chain(each, repeat(each[-1]))


def _reply(raw: bytes) -> Reply:
    head, _, body = raw.partition(b"\n\n")
    status, *fields = head.split(b"\n")
    headers = {key.lower(): value.strip() for key, _, value in (text(field).partition(":") for field in fields)}
    return Reply(_status(status), headers, body)


def _status(said: bytes) -> int:
    return int(said) if said.isdigit() and len(said) == 3 else 200
