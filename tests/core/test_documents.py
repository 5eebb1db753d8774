"""A document is read in one way, and its parts are passed on byte for byte."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core import decoding
from apprproxy.core.documents import NotADocument, composed, elements, fields, listed, parsed, spelt
from tests.core.laws import law

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
layouts = st.sampled_from([(",", ":"), (", ", ": "), (" ,\r\n\t", " :\n"), ("\n,", ":")])
anything = (
    st.binary(max_size=60)
    | st.text('[]{},:"0123456789eE+-.NaIty \\ud8/xé', max_size=60).map(str.encode)
    | values.map(json.dumps).map(str.encode)
)


def written(value: Any, layout: tuple[str, str]) -> bytes:
    return json.dumps(value, separators=layout, ensure_ascii=False).encode(errors="surrogatepass")


@law
@given(st.lists(values, max_size=5), layouts)
def test_a_list_is_its_elements_as_they_came(value: list[Any], layout: tuple[str, str]) -> None:
    body = written(value, layout)
    found = list(elements(body))

    assert value == [one for one, _ in found] == parsed(listed(raw for _, raw in found))
    assert all(raw in body for _, raw in found)


@law
@given(st.dictionaries(st.text(max_size=5), values, max_size=5), layouts)
def test_an_object_is_its_fields_as_they_came(value: dict[str, Any], layout: tuple[str, str]) -> None:
    body = written(value, layout)
    found = fields(body)
    again = composed({name: raw for name, (_, raw) in found.items()})

    assert list(value.items()) == [(name, one) for name, (one, _) in found.items()] == list(parsed(again).items())
    assert all(raw in body for _, raw in found.values())


@law
@given(anything)
def test_cut_into_parts_and_read_whole_it_is_the_same_or_none(body: bytes) -> None:
    read = elements_read = fields_read = None
    with suppress(NotADocument):
        read = parsed(body)
    with suppress(NotADocument):
        elements_read = [value for value, _ in elements(body)]
    with suppress(NotADocument):
        fields_read = {name: value for name, (value, _) in fields(body).items()}

    assert elements_read == (read if isinstance(read, list) else None)
    assert fields_read is None or fields_read == read


@law
@given(anything, st.integers(1, 40))
def test_however_little_is_read_at_once_it_is_the_same_or_none(body: bytes, piece: int) -> None:
    read: dict[int, tuple[Any] | str] = {}
    with pytest.MonkeyPatch.context() as patched:
        for size in (piece, 1000):
            patched.setattr(decoding, "PIECE", size)
            try:
                read[size] = (parsed(body),)
            except NotADocument as refused:
                read[size] = str(refused)

    assert repr(read[piece]) == repr(read[1000])


LONG = {
    "an object": b"{" + b",".join(b'"%d": %d' % (number, number) for number in range(20_000)) + b"}",
    "further inside": b'[{"a": {' + b",\n".join(b'"%d":["a,b",1.5]' % number for number in range(20_000)) + b"}}, 1]",
    "long numbers": b"[" + b",".join([b"1" * 300] * 1400) + b"]",
    "objects": b"[" + b" , ".join([b'{"a,": 1, "},": [2, 3]}'] * 10_000) + b"]",
    "lists": b"[" + b",".join([b"[]"] * 100_000) + b"]",
}


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much the library reads each time."""
    library = decoding.DECODER.raw_decode
    reads: list[int] = []

    class Counting:
        def raw_decode(self, text: str, at: int = 0) -> tuple[Any, int]:
            reads.append(len(text) - at)
            value, end = library(text, at)
            reads[-1] = end - at
            return value, end

    monkeypatch.setattr(decoding, "DECODER", Counting())
    return reads


@pytest.mark.parametrize("body", LONG.values(), ids=LONG)
def test_the_library_which_gives_nobody_a_turn_is_given_a_little_at_a_time(body: bytes, reads: list[int]) -> None:
    assert json.loads(body) == parsed(body)
    assert max(reads) <= decoding.PIECE + 2


def test_what_is_open_in_two_hundred_lists_is_not_read_again_for_each(reads: list[int]) -> None:
    nest = b"[" * 200 + b",".join([b'{"a":1.5}'] * 1000) + b"]" * 200
    body = b"[" + b",".join([nest] * 20) + b"]"

    assert json.loads(body) == parsed(body)
    assert sum(reads) <= 12 * len(body)


@pytest.mark.parametrize("one", [b'{"a": 1, "b": [2]}', b"[1, 2]", b'"1.0"'])
def test_what_servers_send_is_read_in_large_pieces(one: bytes, reads: list[int]) -> None:
    """One by one takes some ten times as long."""
    body = b"[%s]" % b", ".join([one] * (100 * decoding.PIECE // len(one)))

    assert json.loads(body) == parsed(body)
    assert len(reads) <= 3 * len(body) / decoding.PIECE


REFUSED = {
    "nothing": b"",
    "blanks": b" \n",
    "NaN": b"NaN",
    "NaN inside": b'{"a": [NaN]}',
    "infinity": b"[-Infinity]",
    "a number beyond all bounds": b"[1e999]",
    "a whole number beyond all bounds": b"[-2%s]" % (b"0" * 308),
    "a whole number beyond all bounds, among many": b"[%s2%s]" % (b"1," * 20_000, b"0" * 308),
    "no text": b"[\xff]",
    "half a list": b"[1",
    "half an object": b'{"a": 1',
    "half a field": b'{"a"',
    "a field without a name": b"{1: 2}",
    "a comma at the end": b"[1,]",
    "a comma at the end of an object": b'{"a": 1,}',
    "a comma at the beginning": b"[,1]",
    "no commas": b"[1 2]",
    "two documents": b"[][]",
    "something behind it": b"{} x",
    "a byte order mark": b"\xef\xbb\xbf[]",
    "too deep": b"[" * 200_000,
    "too deep in an object": b'{"a":' * 200_000,
    "two fields of one name": b'{"a": 1, "b": 2, "a": 3}',
    "two fields of one name further inside": b'[{"a": {"b": 1, "b": 2}}]',
    "two fields of one name far apart": b'[{"a": 1, %b"a": 2}]' % b"".join(b'"%d": 1, ' % at for at in range(2000)),
    "half a character": rb'["\ud800"]',
    "the other half": rb'{"a": "\uDC00 \ud83d"}',
    "half a character in a name": rb'{"\ud800": 1}',
    "a million empty lists": b"[" + b"[]," * 500_000 + b"[]]",
    "a million empty objects": b'{"a":[' + b"{}," * 500_000 + b"{}]}",
    "deep, and closed": b"[" * 50_000 + b"]" * 50_000,
}


@pytest.mark.parametrize("read", [parsed, lambda body: list(elements(body)), fields], ids=["whole", "list", "object"])
@pytest.mark.parametrize("body", REFUSED.values(), ids=REFUSED)
def test_what_is_no_document_is_refused_by_every_reader(body: bytes, read: Any) -> None:
    with pytest.raises(NotADocument):
        read(body)


def test_a_whole_number_within_bounds_is_as_it_came() -> None:
    assert [10**308, -(10**308), 0] == parsed(b"[1%s, -1%s, -0]" % (b"0" * 308, b"0" * 308))


@pytest.mark.parametrize(
    ("body", "text"),
    [(rb'["\ud83d\uDE00"]', "\U0001f600"), (rb'["\\ud800"]', r"\ud800"), (rb'["\\\ud83d\ude00"]', "\\\U0001f600")],
)
def test_two_halves_are_a_character_and_behind_a_backslash_there_is_none(body: bytes, text: str) -> None:
    assert [text] == parsed(body) == [one for one, _ in elements(body)]


ESCAPES = (r"\\", r"\ud83d", r"\uDBFF", r"\ude00", r"\uDC00", r"\u00e9", r"\n", "ud83d", "x")


@given(st.lists(st.sampled_from(ESCAPES), max_size=12))
def test_halves_are_found_where_a_library_that_writes_them_finds_them(escapes: list[str]) -> None:
    body = f'["{"".join(escapes)}"]'
    (text,) = json.loads(body)
    try:
        text.encode()
    except UnicodeEncodeError:
        with pytest.raises(NotADocument):
            parsed(body.encode())
    else:
        assert [text] == parsed(body.encode())


@pytest.mark.parametrize(
    ("body", "read", "reason"),
    [
        (b"{}", lambda body: list(elements(body)), "not a list"),
        (b"[]", fields, "not an object"),
        (b"<html>", fields, "not JSON"),
    ],
)
def test_what_it_is_instead_is_told(body: bytes, read: Any, reason: str) -> None:
    with pytest.raises(NotADocument, match=reason):
        read(body)


@pytest.mark.parametrize("name", ["Digest", "DIGEST", "mediatype", "pac\u212aage", "dige\u017ft"])
@pytest.mark.parametrize("beside", [{}, {"digest": 1, "package": 1, "mediaType": 1}], ids=["alone", "beside it"])
def test_a_field_that_go_would_read_as_another_is_refused(name: str, beside: dict[str, int]) -> None:
    found = {**beside, name: 2}

    with pytest.raises(NotADocument, match="whatever its case"):
        spelt(found, "digest", "package", "mediaType")
    assert found == spelt(found, "size")


def test_fields_of_their_own_name_and_of_others_are_as_they_came() -> None:
    found = {"digest": 1, "media_type": 2, "Size": 3, "size": 4}

    assert found is spelt(found, "digest", "mediaType")


def test_a_list_that_is_taken_apart_has_so_many_elements_at_the_most() -> None:
    assert 250_000 == len(list(elements(b"[" + b"1," * 249_999 + b"1]")))
    with pytest.raises(NotADocument, match="more than 250000 elements"):
        list(elements(b"[" + b"1," * 250_000 + b"1]"))
    with pytest.raises(NotADocument, match="of more than 250000 elements"):
        fields(b"{" + b",".join(b'"%d":1' % number for number in range(250_001)) + b"}")
