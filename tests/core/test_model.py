"""Wants and expectations: equal where the same thing is meant, different where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.kind import Kind
from apprproxy.core.model import Expected, NameWant, Place, decimal_size, spoken, want_of
from tests.core.laws import law

DIGEST = Digest.of(b"content")
PLACE = Place("hub", ("hub",))
words = st.from_regex(r"[A-Za-z0-9._/@:%=&-]{1,20}", fullmatch=True) | st.just("-")


@pytest.mark.parametrize(("content", "unpacked"), [(None, None), (DIGEST, DIGEST)])
def test_exactly_one_digest_is_expected(content: Digest | None, unpacked: Digest | None) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Expected(content, unpacked)


def test_what_bytes_are_judged_by_is_the_digest_that_is_given() -> None:
    assert DIGEST == Expected(DIGEST).digest == Expected(unpacked=DIGEST).digest


def test_the_same_digest_of_the_content_and_of_the_tar_inside_are_different_wants() -> None:
    assert Expected(DIGEST).key != Expected(unpacked=DIGEST).key


def test_a_size_is_a_hint_and_no_part_of_the_want() -> None:
    assert Expected(DIGEST).key == Expected(DIGEST, size=7).key


@law
@given(st.tuples(st.sampled_from(Kind), words | st.just(""), words | st.just("")), st.data())
def test_keys_of_names_are_equal_only_for_equal_names(want: tuple[Kind, str, str], data: st.DataObject) -> None:
    other = data.draw(st.tuples(st.sampled_from(Kind), words | st.just(""), words | st.just("")))
    here, there = Place("up", ("up",)), Place("view", ("up", "other"))

    assert (want == other) == (NameWant(here, *want).key == NameWant(there, *other).key)


@law
@given(st.sampled_from(Kind), words | st.just(""), words | st.just(""))
def test_a_key_is_three_words_that_are_read_back(kind: Kind, repository: str, name: str) -> None:
    want = NameWant(Place("up", ("up",)), kind, repository, name)

    assert 3 == len(want.key.split(" "))
    assert want == want_of(want.place, want.key)


@pytest.mark.parametrize("key", ["", "tag", "tag a", "tag a b c", "nothing a b"])
def test_what_is_no_key_is_no_want(key: str) -> None:
    assert None is want_of(Place("up", ("up",)), key)


def test_labels_come_from_a_closed_set() -> None:
    labels = {kind.label for kind in Kind}

    assert {"blob", "manifest", "tags", "package", "release", "channel", "version"} <= labels
    assert all(label.isidentifier() for label in labels)


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1_0", "1.0", "٣", "1" * 19])
def test_what_is_no_size_in_plain_digits_is_none(text: str) -> None:
    assert decimal_size(text) is None


@pytest.mark.parametrize(
    ("want", "said"),
    [
        (NameWant(PLACE, Kind.TAG, "library/app", "1.0"), "library/app:1.0"),
        (NameWant(PLACE, Kind.RELEASE, "alice/nginx", "1.0.0/helm"), "alice/nginx@1.0.0/helm"),
        (NameWant(PLACE, Kind.PRESENCE, "library/app", str(DIGEST)), f"library/app@{DIGEST}"),
        (NameWant(PLACE, Kind.TAGS, "library/app"), "tags of library/app"),
        (NameWant(PLACE, Kind.CATALOG), "catalog"),
        (NameWant(PLACE, Kind.PACKAGES, "", "media_type=helm"), "packages media_type=helm"),
    ],
)
def test_what_is_asked_for_is_told_as_people_write_it(want: NameWant, said: str) -> None:
    assert said == spoken(want.key)
