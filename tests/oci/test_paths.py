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
from apprproxy.oci.paths import Blob, Manifest, Path, Ping, Tags, parse_path, write_path

HUB = Place("hub", ("hub",))
VIEW = Place("default", ("hub", "far"))
PLACES = Places({"hub": HUB, "both": VIEW}, VIEW)
ALONE = Places({}, HUB)

REPOSITORY = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}(/[a-z0-9]{1,8}){0,3}", fullmatch=True)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", fullmatch=True)
DIGEST = st.builds(Digest.of, st.binary(), st.sampled_from(["sha256", "sha512"]))
PATH: st.SearchStrategy[Path] = st.one_of(
    st.just(Ping()),
    st.builds(Manifest, st.just(HUB), REPOSITORY, DIGEST | TAG),
    st.builds(Blob, st.just(HUB), REPOSITORY, DIGEST),
    st.builds(Tags, st.just(HUB), REPOSITORY),
)


def read(raw: str, places: Places = PLACES) -> Path:
    return parse_path(parse_target(raw).segments[1:], places)


@given(PATH)
def test_what_is_written_is_read(path: Path) -> None:
    assert path == read(write_path(path), ALONE)


@given(PATH)
def test_a_place_in_front_is_a_place(path: Path) -> None:
    raw = write_path(path).replace("/v2/", "/v2/hub/", 1)
    if not isinstance(path, Ping):
        assert path == read(raw)


@given(st.lists(st.text(max_size=20) | REPOSITORY | st.sampled_from(["manifests", "blobs", "tags", "list", ""])))
def test_no_path_raises_anything_but_the_clients_fault(segments: list[str]) -> None:
    try:
        path = parse_path(tuple(segments), PLACES)
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
    ],
)
def test_a_path_is_read_from_its_end(raw: str, path: Path) -> None:
    assert path == read(raw)


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
    with pytest.raises(UnknownPlace, match=r"views\.default"):
        read("/v2/app/tags/list", places)
