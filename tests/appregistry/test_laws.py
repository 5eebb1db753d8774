"""What holds for every document and every package, whatever they contain."""

import gzip
import hashlib
import json
import random
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.appregistry import shapes
from apprproxy.appregistry.merge import merged_documents, merged_packages
from apprproxy.core.digest import Digest
from apprproxy.store.unpacked import NotGzip, unpacked_digest
from tests.core.laws import law

# --- lists merged

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
listed = st.builds(
    lambda name, rest: {**rest, "name": name},
    st.sampled_from(["a/a", "a/b", "b/a", "b/b", "c/c"]),
    st.dictionaries(st.text(max_size=4).filter(lambda key: key != "name"), values, max_size=3),
)
lists = st.lists(listed, max_size=5)


@law
@given(lists)
def test_merging_a_list_with_itself_changes_nothing(packages: list[dict[str, Any]]) -> None:
    once = merged_packages([packages])

    assert once == merged_packages([packages, packages]) == merged_packages([once]) == merged_packages([once, packages])


@law
@given(st.lists(lists, max_size=4))
def test_the_first_owner_wins_and_order_is_that_of_first_sight(members: list[list[dict[str, Any]]]) -> None:
    every = [package for packages in members for package in packages]
    merged = merged_packages(members)

    assert list(dict.fromkeys(package["name"] for package in every)) == [package["name"] for package in merged]
    for package in merged:
        owner = next(one for one in every if one["name"] == package["name"])
        assert json.dumps(owner) == json.dumps(package)


@law
@given(lists, lists, lists)
def test_merging_in_steps_is_merging_at_once(
    a: list[dict[str, Any]], b: list[dict[str, Any]], c: list[dict[str, Any]]
) -> None:
    assert merged_packages([a, b, c]) == merged_packages([merged_packages([a, b]), c])
    assert merged_packages([a, b, c]) == merged_packages([a, merged_packages([b, c])])


@law
@given(st.lists(lists, max_size=4), st.integers(0, 3))
def test_a_name_that_does_not_count_for_a_member_is_the_next_ones(
    members: list[list[dict[str, Any]]], owner: int
) -> None:
    said = [(str(at), json.dumps(packages).encode()) for at, packages in enumerate(members)]
    merged = merged_documents(said, lambda member, name: not name.startswith("a/") or member == str(owner))
    owned = [package for package in merged if str(package["name"]).startswith("a/")]

    of_owner = [one for one in members[owner] if one["name"].startswith("a/")] if owner < len(members) else []
    assert json.dumps(merged_packages([of_owner])) == json.dumps(owned)


@law
@given(st.lists(lists, max_size=4))
def test_what_every_member_may_list_is_merged_whole(members: list[list[dict[str, Any]]]) -> None:
    said = [(str(at), json.dumps(packages).encode()) for at, packages in enumerate(members)]

    assert json.dumps(merged_packages(members)) == json.dumps(merged_documents(said, lambda _, __: True))


@law
@given(lists, st.text(max_size=6))
def test_a_query_finds_exactly_the_names_that_contain_it(packages: list[dict[str, Any]], query: str) -> None:
    found = list(shapes.matching(packages, query))

    assert [one for one in packages if query.casefold() in one["name"].casefold()] == found


# --- first-seen digests in documents

hexes = st.binary(max_size=4).map(lambda content: hashlib.sha256(content).hexdigest())
manifests = st.builds(
    lambda package, release, media_type, digest, rest: {
        **rest,
        "package": package,
        "release": release,
        "mediaType": media_type,
        "content": {"size": 1, "digest": digest, "urls": [], **rest},
    },
    st.sampled_from(["a/a", "a/b"]),
    st.sampled_from(["1.0.0", "2.0.0-rc.1", "3.0.0+b"]),
    st.sampled_from(
        [f"application/vnd.{word}.package-manifest.{fmt}.v0.json" for word in ("appr", "cnr") for fmt in "hk"]
    ),
    hexes,
    st.dictionaries(st.sampled_from(["zeta", "alpha", "created_at", "metadata"]), values, max_size=4),
)


def pinned(document: list[dict[str, Any]], chosen: random.Random) -> dict[str, Digest]:
    pins = [shapes.PackageManifest.model_validate(one).pin for one in document]
    return {pin: Digest.of(pin.encode()) for pin in pins if chosen.random() < 0.5}


@law
@given(st.lists(manifests, max_size=4), st.randoms(use_true_random=False))
def test_holding_changes_the_digests_of_pinned_entries_and_nothing_else(
    document: list[dict[str, Any]], chosen: random.Random
) -> None:
    pins = pinned(document, chosen)
    held = orjson.loads(shapes.hold(orjson.dumps(document), pins))

    for before, after in zip(document, held, strict=True):
        pin = shapes.PackageManifest.model_validate(before).pin
        due = pins[pin].hex if pin in pins else before["content"]["digest"]
        assert due == after["content"]["digest"]
        after["content"]["digest"] = before["content"]["digest"]
    assert json.dumps(document) == json.dumps(held)


@law
@given(st.lists(manifests, max_size=4), st.randoms(use_true_random=False))
def test_holding_twice_is_holding_once(document: list[dict[str, Any]], chosen: random.Random) -> None:
    pins = pinned(document, chosen)
    once = shapes.hold(orjson.dumps(document), pins)

    assert once == shapes.hold(once, pins)


@law
@given(manifests)
def test_a_manifest_of_its_own_is_held_like_one_in_a_list(manifest: dict[str, Any]) -> None:
    pin = shapes.PackageManifest.model_validate(manifest).pin
    pins = {pin: Digest.of(b"first")}
    alone = orjson.loads(shapes.hold(orjson.dumps(manifest), pins))

    assert [alone] == orjson.loads(shapes.hold(orjson.dumps([manifest]), pins))


@law
@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode) | values.map(orjson.dumps))
def test_no_bytes_whatever_crash_the_reading_of_a_document(body: bytes) -> None:
    for read in (
        shapes.read_manifest,
        shapes.read_manifests,
        shapes.check_packages,
        shapes.check_channel,
        shapes.check_channels,
        shapes.check_object,
    ):
        with suppress(shapes.NotTheShape):
            read(body)


@pytest.mark.parametrize(
    ("asked", "answered", "same"),
    [
        ("1.0.0", "1.0.0", True),
        ("1.0.0", "1.0.1", False),
        ("1.0.0-rc.1", "1.0.0", False),
        ("1.0.0+a", "1.0.0+b", False),
        ("default", "1.0.0", True),
        (">=1.0.0", "1.4.0", True),
        ("1.0", "1.0.7", True),
        ("*", "2.0.0", True),
    ],
)
def test_an_exact_release_is_answered_with_itself(asked: str, answered: str, same: bool) -> None:
    assert same == shapes.same_release(asked, answered)


# --- the digest of what is inside

members = st.lists(st.binary(max_size=2000), min_size=1, max_size=5)


def packed_in(parts: list[bytes], level: int, padding: int) -> bytes:
    return b"".join(gzip.compress(part, level) for part in parts) + bytes(padding)


def pieces(content: bytes, chosen: random.Random) -> Any:
    """A reader that gives less than is asked for, as it likes."""

    def read(offset: int, count: int) -> bytes:
        return content[offset : offset + chosen.randint(1, min(count, 300))]

    return read


@law
@given(members, st.integers(0, 9), st.integers(0, 700), st.randoms(use_true_random=False))
def test_the_digest_is_that_of_all_members_in_whatever_pieces_they_are_read(
    parts: list[bytes], level: int, padding: int, chosen: random.Random
) -> None:
    content = packed_in(parts, level, padding)

    expected = hashlib.sha256(gzip.decompress(content)).hexdigest()
    assert expected == hashlib.sha256(b"".join(parts)).hexdigest()
    assert expected == unpacked_digest(pieces(content, chosen)).hex


@law
@given(members, st.integers(1, 60), st.randoms(use_true_random=False))
def test_what_is_cut_off_anywhere_in_a_member_is_refused(parts: list[bytes], cut: int, chosen: random.Random) -> None:
    content = packed_in(parts, 6, 0)
    last = len(gzip.compress(parts[-1], 6))
    short = content[: -min(cut, last - 1)]

    with pytest.raises(NotGzip):
        unpacked_digest(pieces(short, chosen))


@law
@given(members, st.integers(0, 9), st.binary(min_size=1, max_size=40), st.randoms(use_true_random=False))
def test_rubbish_after_the_last_member_is_refused(
    parts: list[bytes], padding: int, rubbish: bytes, chosen: random.Random
) -> None:
    if not rubbish.strip(b"\0") or rubbish.lstrip(b"\0").startswith(b"\x1f\x8b"):
        return
    with pytest.raises(NotGzip):
        unpacked_digest(pieces(packed_in(parts, 6, padding) + rubbish, chosen))
