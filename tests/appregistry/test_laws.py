"""What holds for every document and every package, whatever they contain."""

import gzip
import hashlib
import json
import random
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.appregistry import shapes
from apprproxy.appregistry.merge import Entry, entries, matching, merged, merged_documents, written
from apprproxy.core.digest import Digest
from apprproxy.core.documents import parsed
from apprproxy.store.blobs.unpacked import NotGzip, unpacked_digest
from tests.core.laws import law

# --- lists merged

seen = st.text(max_size=5).filter(str.isprintable)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | seen,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["a/a", "a/b", "b/a", "b/b", "c/c"])
listed = st.builds(
    lambda name, default, manifests, rest: {**rest, "name": name, "manifests": manifests, "default": default},
    NAMES,
    seen,
    st.lists(seen, max_size=2),
    st.dictionaries(st.text(max_size=4).filter(lambda key: key != "name"), values, max_size=3),
)
layouts = st.sampled_from(
    [
        json.dumps,
        lambda packages: json.dumps(packages, indent=2, ensure_ascii=False),
        lambda packages: json.dumps(packages, separators=(",", ":")),
        lambda packages: json.dumps(packages, separators=(" ,\r\n\t", " : ")) + "\n",
    ]
)
documents = st.builds(lambda packages, layout: layout(packages).encode(), st.lists(listed, max_size=5), layouts)
"""Lists as servers write them, each in its own way."""


def whole(document: bytes) -> list[Entry]:
    return merged([entries(document)])


@law
@given(documents)
def test_merging_a_list_with_itself_changes_nothing(document: bytes) -> None:
    once = whole(document)

    assert once == merged([entries(document), entries(document)]) == merged([once]) == merged([once, once])


@law
@given(st.lists(documents, max_size=4))
def test_the_first_owner_wins_and_order_is_that_of_first_sight(members: list[bytes]) -> None:
    every = [package for document in members for package in json.loads(document)]
    found = merged(map(entries, members))

    assert list(dict.fromkeys(package["name"] for package in every)) == [package.name for package in found]
    for package in found:
        owner = next(one for one in every if one["name"] == package.name)
        assert json.dumps(owner) == json.dumps(json.loads(package.raw))


@law
@given(st.lists(documents, max_size=4))
def test_every_byte_of_a_package_is_passed_on(members: list[bytes]) -> None:
    found = merged_documents([(str(at), document) for at, document in enumerate(members)], lambda _, __: True)

    assert all(any(package.raw in document for document in members) for package in found)
    assert [json.loads(package.raw) for package in found] == json.loads(written(found))


@law
@given(documents, documents, documents)
def test_merging_in_steps_is_merging_at_once(one: bytes, two: bytes, three: bytes) -> None:
    a, b, c = whole(one), whole(two), whole(three)

    assert merged([a, b, c]) == merged([merged([a, b]), c]) == merged([a, merged([b, c])])


@law
@given(st.lists(documents, max_size=4), st.integers(0, 3))
def test_a_name_that_does_not_count_for_a_member_is_the_next_ones(members: list[bytes], owner: int) -> None:
    said = [(str(at), document) for at, document in enumerate(members)]
    found = merged_documents(said, lambda member, name: not name.startswith("a/") or member == str(owner))
    of_owner = whole(members[owner]) if owner < len(members) else []

    assert [one for one in of_owner if one.name.startswith("a/")] == [one for one in found if one.name.startswith("a/")]


@law
@given(documents, st.text(max_size=6))
def test_a_query_finds_exactly_the_names_that_contain_it(document: bytes, query: str) -> None:
    packages = whole(document)

    assert [one for one in packages if query.casefold() in one.name.casefold()] == list(matching(packages, query))


@law
@given(NAMES, st.dictionaries(st.sampled_from(["default", "manifests", "x"]), values))
def test_every_entry_has_what_clients_need_of_it(name: str, rest: dict[str, Any]) -> None:
    sent = {"name": name, **rest}
    package = parsed(written(whole(json.dumps([sent]).encode())))[0]  # no field is there twice
    manifests = ", ".join(package["manifests"])  # as appr does
    fine = isinstance(rest.get("default", ""), str) and rest.get("manifests", []) == package["manifests"]

    assert (name, True, True) == (package["name"], isinstance(package["default"], str), isinstance(manifests, str))
    assert ({"default": "", "manifests": [], **sent} == package) is fine


texts = st.text(max_size=4)
rows = st.fixed_dictionaries(
    {"name": texts, "releases": st.lists(texts, max_size=3)},
    optional={name: texts | st.lists(texts, max_size=3) for name in ("default", "manifests", "created_at")},
)


@law
@given(rows)
def test_no_entry_has_what_a_terminal_does_not_show(sent: dict[str, Any]) -> None:
    found = parsed(written(whole(json.dumps([sent]).encode())))
    of_each = [[value] if isinstance(value, str) else value for package in found for value in package.values()]

    assert sent["name"].isprintable() == bool(found)
    assert all(text.isprintable() for of_one in of_each for text in of_one)
    assert all([one for one in sent["releases"] if one.isprintable()] == package["releases"] for package in found)


NOT_LISTS = {
    "nothing": b"",
    "no list": b'{"name": "a/a"}',
    "NaN": b'[{"name": "a/a", "score": NaN}]',
    "infinity": b'[{"name": "a/a", "score": -Infinity}]',
    "a number beyond all bounds": b'[{"name": "a/a", "score": 1e999}]',
    "half a list": b'[{"name": "a/a"}',
    "half an element": b'[{"name": "a/a"',
    "no commas": b'[{"name": "a/a"} {"name": "a/b"}]',
    "a comma at the end": b'[{"name": "a/a"},]',
    "a comma at the beginning": b'[,{"name": "a/a"}]',
    "two lists": b"[][]",
    "something behind it": b"[] x",
    "no text": b"[\xff]",
    "too deep": b'[{"name": "a/a", "x": ' + b"[" * 100_000,
    "deep, and closed": b'[{"name": "a/a", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}]",
    "half a character in the name": b'[{"name": "\\ud800"}]',
    "no name": b'[{"nam": "a/a"}]',
    "a name that is no text": b'[{"name": 7}]',
}


@pytest.mark.parametrize("body", NOT_LISTS.values(), ids=NOT_LISTS)
def test_what_cannot_be_merged_is_no_list(body: bytes) -> None:
    with pytest.raises(shapes.NotTheShape):
        shapes.check_packages(body)


@law
@given(documents)
def test_what_is_taken_for_a_list_can_be_merged(document: bytes) -> None:
    shapes.check_packages(document)

    assert json.loads(written(entries(document))) == json.loads(document)


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


def known(document: list[dict[str, Any]], chosen: random.Random) -> dict[str, Digest]:
    titles = [shapes.PackageManifest.model_validate(one).title for one in document]
    return {title: Digest.of(title.encode()) for title in titles if chosen.random() < 0.5}


@law
@given(st.lists(manifests, max_size=4), st.randoms(use_true_random=False))
def test_the_digests_of_known_entries_change_and_nothing_else(
    document: list[dict[str, Any]], chosen: random.Random
) -> None:
    digests = known(document, chosen)
    changed = json.loads(shapes.with_digests(json.dumps(document).encode(), digests))

    for before, after in zip(document, changed, strict=True):
        title = shapes.PackageManifest.model_validate(before).title
        due = digests[title].hex if title in digests else before["content"]["digest"]
        assert due == after["content"]["digest"]
        after["content"]["digest"] = before["content"]["digest"]
    assert json.dumps(document) == json.dumps(changed)


@law
@given(st.lists(manifests, max_size=4), st.randoms(use_true_random=False))
def test_to_change_them_twice_is_to_change_them_once(document: list[dict[str, Any]], chosen: random.Random) -> None:
    digests = known(document, chosen)
    once = shapes.with_digests(json.dumps(document).encode(), digests)

    assert once == shapes.with_digests(once, digests)


@law
@given(manifests)
def test_a_manifest_of_its_own_is_changed_like_one_in_a_list(manifest: dict[str, Any]) -> None:
    title = shapes.PackageManifest.model_validate(manifest).title
    digests = {title: Digest.of(b"first")}
    alone = json.loads(shapes.with_digests(json.dumps(manifest).encode(), digests))

    assert [alone] == json.loads(shapes.with_digests(json.dumps([manifest]).encode(), digests))


@law
@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode) | values.map(json.dumps).map(str.encode))
def test_no_bytes_whatever_crash_the_reading_of_a_document(body: bytes) -> None:
    for read in (
        shapes.read_manifest,
        shapes.read_manifests,
        shapes.check_packages,
        shapes.read_channel,
        shapes.check_channels,
        shapes.check_object,
    ):
        with suppress(shapes.NotTheShape):
            read(body)


# --- the digest of what is inside

members = st.lists(st.binary(max_size=2000), min_size=1, max_size=5)


def packed_in(parts: list[bytes], level: int) -> bytes:
    return b"".join(gzip.compress(part, level) for part in parts)


def pieces(content: bytes, chosen: random.Random) -> Any:
    """A reader that gives less than is asked for, as it likes."""

    def read(offset: int, count: int) -> bytes:
        return content[offset : offset + chosen.randint(1, min(count, 300))]

    return read


@law
@given(members, st.integers(0, 9), st.randoms(use_true_random=False))
def test_the_digest_is_that_of_all_members_in_whatever_pieces_they_are_read(
    parts: list[bytes], level: int, chosen: random.Random
) -> None:
    content = packed_in(parts, level)

    expected = hashlib.sha256(gzip.decompress(content)).hexdigest()
    assert expected == hashlib.sha256(b"".join(parts)).hexdigest()
    assert expected == unpacked_digest(pieces(content, chosen)).hex


@law
@given(members, st.integers(1, 60), st.randoms(use_true_random=False))
def test_what_is_cut_off_anywhere_in_a_member_is_refused(parts: list[bytes], cut: int, chosen: random.Random) -> None:
    content = packed_in(parts, 6)
    last = len(gzip.compress(parts[-1], 6))
    short = content[: -min(cut, last - 1)]

    with pytest.raises(NotGzip):
        unpacked_digest(pieces(short, chosen))


@law
@given(members, st.integers(0, 9), st.binary(max_size=40), st.randoms(use_true_random=False))
def test_whatever_follows_the_last_member_is_refused(
    parts: list[bytes], padding: int, rubbish: bytes, chosen: random.Random
) -> None:
    follows = bytes(padding) + rubbish
    if not follows or follows.startswith(b"\x1f\x8b"):
        return
    with pytest.raises(NotGzip):
        unpacked_digest(pieces(packed_in(parts, 6) + follows, chosen))
