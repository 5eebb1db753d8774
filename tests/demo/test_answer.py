"""The demo's client sees for itself where an answer came from and whether its bytes are right."""

import gzip

import pytest

from apprproxy.core.digest import Digest
from apprproxy.demo.answer import Source, is_content, is_package, reason_of, source_of
from apprproxy.demo.archive import archive


@pytest.mark.parametrize(
    ("field", "source"),
    [
        ("apprproxy; fwd=uri-miss; stored", Source.FETCHED),
        ("apprproxy; fwd=uri-miss; collapsed", Source.FETCHED),
        ("apprproxy; hit", Source.CACHE),
        ("apprproxy; hit; ttl=12", Source.CACHE),
        ("apprproxy; hit; ttl=-3", Source.STALE),
        ("apprproxy; hit; ttl=0", Source.STALE),
        ("apprproxy; fwd=stale; fwd-status=200; stored", Source.CONFIRMED),
        ("apprproxy; fwd=stale; fwd-status=503; detail=stale-if-error", Source.STALE),
        ("apprproxy; fwd=stale; detail=stale-if-error", Source.STALE),
        ("squid; hit, apprproxy; fwd=uri-miss", Source.FETCHED),
        ("apprproxy; hit, squid; hit", None),
        ("", None),
    ],
)
def test_cache_status_says_where_an_answer_came_from(field: str, source: Source | None) -> None:
    assert source == source_of(field)


def test_content_is_right_by_the_stated_and_the_asked_digest() -> None:
    right, other = str(Digest.of(b"bytes")), str(Digest.of(b"other"))

    assert is_content(b"bytes", right, None)
    assert is_content(b"bytes", right, right)
    assert not is_content(b"bytes", other, None)
    assert not is_content(b"other", other, right)
    assert not is_content(b"bytes", "", None)


def test_a_package_is_right_by_the_tar_inside_and_its_etag() -> None:
    packed = archive({"a/b": "text"})
    body, tar = packed.packed, packed.unpacked_digest.hex
    tag = f'"{Digest.of(body)}"'

    assert is_package(body, tag, tar)
    assert not is_package(body, '"another"', tar)
    assert not is_package(body, tag, Digest.of(b"another").hex)
    assert not is_package(b"not gzip", tag, tar)
    assert not is_package(gzip.compress(b"x" * 100)[:-9], tag, tar)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"errors":[{"code":"UNAVAILABLE","message":"liar: lied"}]}', "liar: lied"),
        (b'{"code":"upstream-failed","message":"old-quay: down","details":{}}', "old-quay: down"),
        (b"<html>", "gave no reason"),
        (b'{"errors":[]}', "gave no reason"),
    ],
)
def test_the_reason_is_found_in_either_protocols_words(body: bytes, reason: str) -> None:
    assert reason == reason_of(body)
