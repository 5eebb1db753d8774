"""Every way of writing a path leads to the same answer; what cannot be a path is refused in App Registry's words."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.appregistry.paths import (
    Blob,
    Channels,
    Package,
    Packages,
    Path,
    Pull,
    Release,
    Version,
    parse_path,
    write_path,
)
from apprproxy.core.digest import Digest
from apprproxy.core.errors import Malformed, UnknownPlace
from apprproxy.core.model import Place
from apprproxy.face.places import Places
from apprproxy.face.target import parse_target
from apprproxy.store.directory.place import instance
from tests.appregistry.archives import chart, digest_of, packed
from tests.appregistry.conftest import Start
from tests.appregistry.upstream import Upstream, running
from tests.core.laws import law

UP = Place("up", ("up",))
VIEW = Place("default", ("up", "other"))
PLACES = Places({"up": UP, "default": VIEW, "quay.io": Place("quay.io", ("quay.io",))}, VIEW)

names = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,40}", fullmatch=True)
packages = st.tuples(names, names).map("/".join)
releases = st.one_of(
    st.just("default"),
    st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-[a-z0-9.]{1,10})?(\+[a-z0-9.]{1,10})?", fullmatch=True),
    st.from_regex(r"[<>=~^!]{0,2}[0-9]{1,3}(\.[0-9]{1,3})?(,[<>=]{1,2}[0-9])?", fullmatch=True),
    st.just("*"),
).filter(lambda release: release not in ("channels", "blobs"))
formats = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
channels = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,20}", fullmatch=True)
digests = st.binary(max_size=20).map(Digest.of)


def paths_at(place: Place) -> st.SearchStrategy[Path]:
    here = st.just(place)
    return st.one_of(
        st.builds(Version, here),
        st.builds(Packages, here, st.just("") | names, st.just("") | formats),
        st.builds(Package, here, packages, st.just("") | formats),
        st.builds(Release, here, packages, releases),
        st.builds(Release, here, packages, releases, st.just("-") | formats),
        st.builds(Pull, here, packages, releases, st.just("-") | formats, st.booleans()),
        st.builds(Blob, here, packages, digests, st.booleans()),
        st.builds(Channels, here, packages),
        st.builds(Channels, here, packages, channels),
    )


def parsed(base: str, path: Path, slash: str = "") -> Path:
    where, query = write_path(path)
    return parse_path(parse_target(f"{base}{where}{slash}{'?' if query else ''}{query}"), PLACES)


@law
@given(paths_at(UP))
def test_what_is_written_for_an_upstream_is_read_back_as_it_was(path: Path) -> None:
    assert path == parsed("/up/cnr", path)
    assert path == parsed("/up/cnr", path, "/")


@law
@given(paths_at(VIEW))
def test_the_forms_with_and_without_cnr_ask_for_the_same(path: Path) -> None:
    assert path == parsed("/cnr", path)
    assert path == parsed("/default/cnr", path)
    if not isinstance(path, Version):
        assert path == parsed("", path)


@law
@given(st.text(max_size=40), st.text(max_size=40))
def test_whatever_stands_in_a_path_is_parsed_or_refused(first: str, second: str) -> None:
    target = f"/cnr/api/v1/packages/{quote(first, safe='')}/{quote(second, safe='')}"
    try:
        path = parse_path(parse_target(target), PLACES)
    except (Malformed, UnknownPlace):
        return

    assert target.rstrip("/") == f"/cnr{write_path(path)[0]}"


@law
@given(st.text(alphabet="/.%0aA2fF-_~:?=&@!\\ab1", max_size=60))
def test_no_target_whatever_is_a_crash(rest: str) -> None:
    try:
        path = parse_path(parse_target(f"/cnr/api/v1/{rest}"), PLACES)
    except (Malformed, UnknownPlace):
        return

    assert path == parsed("/cnr", path) or isinstance(path, (Packages, Pull, Blob))


# --- through a running gateway


TAR = chart("1.0.0")
READS = [
    "/version",
    "/api/v1/packages",
    "/api/v1/packages?namespace=alice",
    "/api/v1/packages/alice/nginx",
    "/api/v1/packages/alice/nginx?media_type=helm",
    "/api/v1/packages/alice/nginx/1.0.0",
    "/api/v1/packages/alice/nginx/1.0.0/helm",
    "/api/v1/packages/alice/nginx/1.0.0/helm/pull",
    "/api/v1/packages/alice/nginx/1.0.0/helm/pull?format=json",
    "/api/v1/packages/alice/nginx/1.0.0/helm/pull/json",
    "/api/v1/packages/alice/nginx/channels",
    "/api/v1/packages/alice/nginx/channels/stable",
    f"/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(TAR).hex}",
    f"/api/v1/packages/alice/nginx/blobs/sha256/{digest_of(TAR).hex}/json",
]


@pytest.fixture
async def filled() -> AsyncIterator[Upstream]:
    async with running() as upstream:
        upstream.registry.push("alice/nginx", "1.0.0", "helm", packed(TAR))
        upstream.registry.set_channel("alice/nginx", "stable", "1.0.0")
        yield upstream


@pytest.mark.parametrize("target", READS)
async def test_every_prefix_and_a_trailing_slash_lead_to_the_same_answer(
    target: str, start: Start, filled: Upstream
) -> None:
    gateway = await start({"old.quay": filled})
    path, _, query = target.partition("?")
    forms = [f"{prefix}{path}{slash}?{query}" for prefix in ("/cnr", "/old.quay/cnr", "/default/cnr") for slash in "/ "]
    forms += [target] if path.startswith("/api") else []
    answers = [await gateway.get(form.replace(" ", "")) for form in forms]

    assert {(200, answers[0].body)} == {(got.status, got.body) for got in answers}
    assert {"old.quay"} == {got.headers["Apprproxy-Upstream"] for got in answers}


@pytest.mark.parametrize("prefix", ["", "/registry"])
async def test_an_upstreams_own_prefix_is_what_it_is_asked_with(prefix: str, start: Start, filled: Upstream) -> None:
    registry = filled.registry
    filled.twist = lambda target: registry.answer("GET", "/cnr" + target.removeprefix(prefix))
    gateway = await start({"up": filled}, prefix=prefix)
    got = await gateway.get("/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull")

    assert 200 == got.status
    assert all(target.startswith(f"{prefix}/api/v1/") for target in filled.asked)


LONG = "x" * 10_000
BAD = {
    "a dot segment": "/cnr/api/v1/packages/../nginx",
    "an encoded dot segment": "/cnr/api/v1/packages/%2e%2e/nginx",
    "a half encoded dot segment": "/cnr/api/v1/packages/.%2E/nginx",
    "a single dot": "/cnr/api/v1/packages/alice/%2e/1.0.0",
    "a dot segment in a release that blanks hide": "/cnr/api/v1/packages/alice/nginx/%20../helm",
    "channels that blanks hide": "/cnr/api/v1/packages/alice/nginx/%20channels/stable",
    "blobs that blanks hide": "/cnr/api/v1/packages/alice/nginx/%20blobs/sha256/pull",
    "a single dot in a release that blanks hide": "/cnr/api/v1/packages/alice/nginx/.%20",
    "an encoded slash": "/cnr/api/v1/packages/alice%2fnginx",
    "an encoded slash in a release": "/cnr/api/v1/packages/alice/nginx/1.0.0%2Fhelm",
    "an encoded backslash": "/cnr/api/v1/packages/alice/nginx%5c..",
    "an encoded zero": "/cnr/api/v1/packages/alice/nginx%00",
    "an encoded line feed": "/cnr/api/v1/packages/alice/nginx/1.0.0%0aX",
    "no UTF-8": "/cnr/api/v1/packages/alice/%ff",
    "a broken escape": "/cnr/api/v1/packages/alice/%zz",
    "an empty segment": "/cnr/api/v1/packages//nginx",
    "a blank": "/cnr/api/v1/packages/alice/ng%20inx",
    "ten kilobytes of name": f"/cnr/api/v1/packages/alice/{LONG}",
    "ten kilobytes of release": f"/cnr/api/v1/packages/alice/nginx/{LONG}",
    "ten kilobytes of format": f"/cnr/api/v1/packages/alice/nginx/1.0.0/{LONG}/pull",
    "a leading dot": "/cnr/api/v1/packages/.alice/nginx",
    "an upper-case digest": f"/cnr/api/v1/packages/alice/nginx/blobs/sha256/{'A' * 64}",
    "a short digest": "/cnr/api/v1/packages/alice/nginx/blobs/sha256/abc",
    "a long digest": f"/cnr/api/v1/packages/alice/nginx/blobs/sha256/{'a' * 65}",
    "a media type in a query": "/cnr/api/v1/packages/alice/nginx?media_type=a%2Fb",
    "a namespace in a query": "/cnr/api/v1/packages?namespace=..%2F..",
    "a channel": "/cnr/api/v1/packages/alice/nginx/channels/-x",
}
NOWHERE = {
    "no upstream of that name": "/nobody/cnr/api/v1/packages",
    "another version": "/cnr/api/v2/packages",
    "another algorithm": f"/cnr/api/v1/packages/alice/nginx/blobs/md5/{'a' * 32}/x/y",
    "too deep": "/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull/json/more",
    "no end point": "/cnr/",
}


@pytest.mark.parametrize(("target", "status"), [(t, 400) for t in BAD.values()] + [(t, 404) for t in NOWHERE.values()])
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_path_that_cannot_be_is_refused_in_json_and_nobody_is_asked(
    method: str, target: str, status: int, start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream})
    got = await gateway.get(target, method)

    assert got.status in (status, 400, 404, 405) if method == "DELETE" else status == got.status
    assert "application/json" == got.headers["Content-Type"]
    assert [] == upstream.asked
    if method != "HEAD":
        assert {"code", "message", "details"} == set(got.json)
        assert len(got.body) < 1000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize(
    "target", ["/cnr/api/v1/packages/alice/nginx", "/api/v1/packages/a/b/1.0.0/helm", "/cnr/version"]
)
async def test_what_is_no_read_is_405_with_the_methods_that_are(
    target: str, method: str, start: Start, upstream: Upstream
) -> None:
    gateway = await start({"up": upstream})
    got = await gateway.get(target, method)

    assert (405, "unsupported") == (got.status, got.json["code"])
    assert "GET, HEAD" == got.headers["Allow"]
    assert [] == upstream.asked


async def test_our_own_instance_in_via_is_a_loop(start: Start, upstream: Upstream) -> None:
    gateway = await start({"up": upstream})
    ours = instance(gateway.directory)
    got = await gateway.get("/cnr/version", headers={"Via": f"1.1 proxy, 1.1 apprproxy-{ours}"})

    assert (508, "loop") == (got.status, got.json["code"])


async def test_a_clients_authorization_goes_nowhere(start: Start, filled: Upstream) -> None:
    gateway = await start({"up": filled})
    await gateway.get("/cnr/api/v1/packages", headers={"Authorization": "basic c2VjcmV0"})

    assert 1 == filled.count()
    assert all("Authorization" not in headers for headers in filled.headers)
