"""A Digest that exists is well formed; a Check says of any pieces what hashing the whole would."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Check, Digest, MalformedDigest
from tests.core.laws import law

algorithms = st.sampled_from(["sha256", "sha512"])
digests = st.builds(Digest.of, st.binary(max_size=20), algorithms)

MALFORMED = {
    "nothing": "",
    "no algorithm": "a" * 64,
    "an empty algorithm": ":" + "a" * 64,
    "an unknown algorithm": "md5:" + "a" * 32,
    "an algorithm in upper case": "SHA256:" + "a" * 64,
    "upper-case hex": "sha256:" + "A" * 64,
    "too short": "sha256:" + "a" * 63,
    "too long": "sha256:" + "a" * 65,
    "the other's length": "sha512:" + "a" * 64,
    "no hex": "sha256:" + "g" * 64,
    "digits that are not ASCII": "sha256:" + "\u0661" * 64,
    "a blank before": " sha256:" + "a" * 64,
    "a line feed after": "sha256:" + "a" * 64 + "\n",
    "a line feed in place of a digit": "sha256:" + "a" * 63 + "\n",
    "a path": "sha256:../../etc/passwd",
    "two": "sha256:" + "a" * 64 + ",sha256:" + "a" * 64,
}


@law
@given(digests)
def test_what_is_written_is_read_back(digest: Digest) -> None:
    assert digest == Digest.parse(str(digest))


@law
@given(st.binary(), algorithms)
def test_the_digest_of_bytes_is_their_hash(content: bytes, algorithm: str) -> None:
    assert f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}" == str(Digest.of(content, algorithm))


@pytest.mark.parametrize("what", MALFORMED)
def test_what_is_no_digest_is_refused_in_a_short_sentence(what: str) -> None:
    with pytest.raises(MalformedDigest, match="not a sha256 or sha512 digest"):
        Digest.parse(MALFORMED[what])
    algorithm, _, text = MALFORMED[what].partition(":")
    with pytest.raises(MalformedDigest):
        Digest(algorithm, text)


def test_a_refusal_does_not_repeat_ten_kilobytes() -> None:
    with pytest.raises(MalformedDigest) as caught:
        Digest.parse("x" * 10_000)

    assert len(str(caught.value)) < 250


@law
@given(st.text(max_size=140))
def test_whatever_is_parsed_is_well_formed_or_refused(text: str) -> None:
    try:
        digest = Digest.parse(text)
    except MalformedDigest:
        return

    assert text == str(digest)


@law
@given(st.lists(st.binary(max_size=50), max_size=8), algorithms)
def test_a_check_does_not_care_for_the_pieces(pieces: list[bytes], algorithm: str) -> None:
    check = Check(algorithm)
    for piece in pieces:
        check.update(piece)

    whole = b"".join(pieces)
    assert (Digest.of(whole, algorithm), len(whole)) == (check.digest(), check.size)


def test_a_check_may_be_asked_on_the_way() -> None:
    check = Check()
    check.update(b"a")
    first = check.digest()
    check.update(b"b")

    assert (Digest.of(b"a"), Digest.of(b"ab")) == (first, check.digest())


def test_digests_are_values() -> None:
    assert 1 == len({Digest.of(b"x"), Digest.of(b"x")})
    assert Digest.of(b"x") != Digest.of(b"x", "sha512")
    with pytest.raises(AttributeError):
        Digest.of(b"x").hex = "0" * 64  # type: ignore[misc]  # what is tested
