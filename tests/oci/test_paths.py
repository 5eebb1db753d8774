"""A path below ``/v2/`` <-> what it asks for: what is written is read, and what is no name is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.errors import ClientFault, Malformed, UnknownPlace
from apprproxy.core.model import Place
from apprproxy.face.places import Places
from apprproxy.face.target import parse_target
from apprproxy.oci import names
from apprproxy.oci.paths import Blob, Catalog, Manifest, Path, Ping, Referrers, Tags, parse_path, write_path

HUB = Place("hub", ("hub",))
VIEW = Place("default", ("hub", "far"))
PLACES = Places({"hub": HUB, "both": VIEW}, VIEW, {"docker.io": HUB, "hub.corp:5000": HUB})
ALONE = Places({}, HUB)

REPOSITORY = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,8}){0,3}", fullmatch=True)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
DIGEST = st.builds(Digest.of, st.binary(), st.sampled_from(["sha256", "sha512"]))
PATH: st.SearchStrategy[Path] = st.one_of(
    st.just(Ping()),
    st.builds(Manifest, st.just(HUB), REPOSITORY, DIGEST | TAG),
    st.builds(Blob, st.just(HUB), REPOSITORY, DIGEST),
    st.builds(Tags, st.just(HUB), REPOSITORY),
    st.builds(Referrers, st.just(HUB), REPOSITORY, DIGEST),
    st.just(Catalog(HUB)),
)
ZERO = Digest("sha256", "0" * 64)


def read(raw: str, places: Places = PLACES, host: str | None = None) -> Path:
    return parse_path(parse_target(raw).segments[1:], places, host)


@given(PATH)
def test_what_is_written_is_read(path: Path) -> None:
    assert path == read(write_path(path), ALONE)


@given(PATH)
def test_a_place_in_front_is_a_place(path: Path) -> None:
    raw = write_path(path).replace("/v2/", "/v2/hub/", 1)
    if not isinstance(path, Ping):
        assert path == read(raw)


@given(PATH)
def test_a_host_says_whose_path_it_is_with_and_without_a_prefix(path: Path) -> None:
    plain = write_path(path)

    if not plain.startswith("/v2/hub/"):
        assert path == read(plain, host="docker.io")
    if not isinstance(path, Ping):
        assert path == read(plain.replace("/v2/", "/v2/hub/", 1), host="Docker.IO")


WORDS = st.sampled_from(["manifests", "blobs", "tags", "list", "referrers", "_catalog", "hub", str(ZERO), ""])


@given(st.lists(st.text(max_size=20) | REPOSITORY | WORDS), st.sampled_from([None, "docker.io", "elsewhere.io", ""]))
def test_no_path_raises_anything_but_the_clients_fault(segments: list[str], host: str | None) -> None:
    try:
        path = parse_path(tuple(segments), PLACES, host)
    except ClientFault:
        return
    assert write_path(path).isascii()
    assert ".." not in write_path(path).split("/")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/v2", Ping()),
        ("/v2/", Ping()),
        ("/v2/library/app/tags/list", Tags(VIEW, "library/app")),
        ("/v2/hub/app/tags/list", Tags(HUB, "app")),
        ("/v2/both/app/tags/list", Tags(VIEW, "app")),
        ("/v2/a/tags/list/manifests/x", Manifest(VIEW, "a/tags/list", "x")),
        ("/v2/a/blobs/manifests/1", Manifest(VIEW, "a/blobs", "1")),
        ("/v2/manifests/manifests/manifests", Manifest(VIEW, "manifests", "manifests")),
        ("/v2/_catalog", Catalog(VIEW)),
        ("/v2/hub/_catalog", Catalog(HUB)),
        ("/v2/both/_catalog", Catalog(VIEW)),
        ("/v2/app/manifests/_catalog", Manifest(VIEW, "app", "_catalog")),
        (f"/v2/app/referrers/{ZERO}", Referrers(VIEW, "app", ZERO)),
        (f"/v2/hub/app/referrers/{ZERO}", Referrers(HUB, "app", ZERO)),
        (f"/v2/referrers/referrers/{ZERO}", Referrers(VIEW, "referrers", ZERO)),
        (f"/v2/app/manifests/referrers/{ZERO}", Referrers(VIEW, "app/manifests", ZERO)),
        (f"/v2/app/referrers/manifests/{ZERO}", Manifest(VIEW, "app/referrers", ZERO)),
    ],
)
def test_a_path_is_read_from_its_end(raw: str, path: Path) -> None:
    assert path == read(raw)


@pytest.mark.parametrize("raw", ["/v2/nowhere/_catalog", "/v2/A/_catalog", "/v2/hub/app/_catalog", "/v2/hub/_catalog/"])
def test_a_catalog_of_nowhere_is_not_the_default_views(raw: str) -> None:
    with pytest.raises(ClientFault):
        read(raw)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("/v2/app/manifests/1", Manifest(HUB, "app", "1")),
        ("/v2/hub/app/manifests/1", Manifest(HUB, "app", "1")),
        ("/v2/hub/hub/app/manifests/1", Manifest(HUB, "hub/app", "1")),
        ("/v2/hub/manifests/1", Manifest(HUB, "hub", "1")),
        ("/v2/both/app/manifests/1", Manifest(HUB, "both/app", "1")),
        ("/v2/_catalog", Catalog(HUB)),
        ("/v2/hub/_catalog", Catalog(HUB)),
    ],
)
def test_a_host_wins_over_a_prefix(raw: str, path: Path) -> None:
    assert path == read(raw, host="docker.io")
    assert path == read(raw, host="hub.corp:5000")


@pytest.mark.parametrize("host", ["quay.io", "", "hub", "hub.corp", "docker.io:443", "docker.io.", "http://docker.io"])
def test_a_host_that_nobody_answers_for_is_unknown(host: str) -> None:
    for raw in ("/v2/app/manifests/1", "/v2/hub/app/manifests/1", "/v2/_catalog", "/v2/hub/_catalog"):
        with pytest.raises(UnknownPlace, match="ns"):
            read(raw, host=host)


def test_a_catalog_under_a_prefix_is_not_another_hosts() -> None:
    with pytest.raises(UnknownPlace, match="is not 'both'"):
        read("/v2/both/_catalog", host="docker.io")


@pytest.mark.parametrize(
    "text", ["a" * 256, "A", "a//b", "-a", "a-", "a..b", "a___b", "a/", "/a", "", "é", "a b", "a/../b"]
)
def test_what_is_no_repository_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        names.repository(text)

    assert "NAME_INVALID" == refusal.value.code


@pytest.mark.parametrize("text", ["", ".x", "-x", "a" * 129, "a b", "a/b", "é", "a\n"])
def test_what_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        names.tag(text)

    assert "TAG_INVALID" == refusal.value.code


@pytest.mark.parametrize("text", ["sha256:", "sha256:" + "0" * 63, "md5:" + "0" * 32, "sha256:" + "G" * 64, ":", "a:b"])
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(Malformed) as refusal:
        names.digest(text)

    assert "DIGEST_INVALID" == refusal.value.code


def test_without_a_view_a_name_needs_a_place() -> None:
    places = Places({"hub": HUB}, None)

    assert Tags(HUB, "app") == read("/v2/hub/app/tags/list", places)
    with pytest.raises(UnknownPlace, match=r"an upstream of this protocol first, or into views\.default"):
        read("/v2/app/tags/list", places)
