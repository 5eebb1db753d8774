"""A request target means one thing: whatever could be read in two ways is refused."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.errors import Malformed
from apprproxy.face.target import Target, parse_target

SEGMENT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\"), min_size=1).filter(
    lambda text: text not in (".", "..")
)


@pytest.mark.parametrize(
    ("raw", "segments"),
    [
        ("/", ("",)),
        ("/v2/", ("v2", "")),
        ("/v2/a/b", ("v2", "a", "b")),
        ("/a%20b/%C3%A9", ("a b", "é")),
        ("/a%2Db", ("a-b",)),
        ("http://gateway:8080/v2/a", ("v2", "a")),
        ("HTTPS://gateway", ("",)),
        ("/v2/a#fragment", ("v2", "a")),
        ("/...", ("...",)),
    ],
)
def test_a_path_is_split_first_and_decoded_after(raw: str, segments: tuple[str, ...]) -> None:
    assert segments == parse_target(raw).segments


@pytest.mark.parametrize(
    "raw",
    [
        "/a/../b",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/%2E./b",
        "/a/..",
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00b",
        "/a%0ab",
        "/a%0d%0ab",
        "/a%7fb",
        "/a//b",
        "//a",
        "/a%",
        "/a%2",
        "/a%zz",
        "/%ff",
        "/%c0%ae%c0%ae/",
        "/a/\u00e9",
        "/a/\udcff",
        "/a?b=\udcff",
        "*",
        "a/b",
        "ftp://host/a",
        "",
        "/a?%ff",
        "/a?" + "&".join("x=1" for _ in range(100)),
        "/a" * 300,
        "/" + "%61" * 3000,
        "/a?b=" + "%61" * 3000,
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(raw: str) -> None:
    with pytest.raises(Malformed):
        parse_target(raw)


def test_a_query_keeps_order_and_repeats() -> None:
    target = parse_target("/a?n=1&last=x%2Fy&n=2&empty=&plus=a+b")

    assert (("n", "1"), ("last", "x/y"), ("n", "2"), ("empty", ""), ("plus", "a b")) == target.query
    assert ("1", None) == (target.get("n"), target.get("none"))


@given(st.lists(SEGMENT, min_size=1, max_size=5), st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_what_was_written_is_read(segments: list[str], query: list[tuple[str, str]]) -> None:
    query = [(key.encode("utf-8", "ignore").decode(), value.encode("utf-8", "ignore").decode()) for key, value in query]
    raw = "/" + "/".join(quote(segment, safe="") for segment in segments)

    assert Target(tuple(segments), tuple(query)) == parse_target(f"{raw}?{urlencode(query)}" if query else raw)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF)) | st.text("/.%25eEfF0c\\?#ab", max_size=30))
def test_a_parsed_path_has_nothing_to_trip_over(raw: str) -> None:
    try:
        target = parse_target(raw)
    except Malformed:
        return
    assert not {".", ".."} & set(target.segments)
    assert not any(set(segment) & {"/", "\\", "\0", "\n", "\r"} for segment in target.segments)
