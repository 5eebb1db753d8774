"""A lock file is read or refused with the key that is wrong, and written so that it can be compared line by line."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.digest import Digest
from apprproxy.core.lock import MAX_TEXT, BadLock, Lock, Release, parse, written

ONE, TWO = Digest.of(b"one"), Digest.of(b"two")
NAMES = {"library/app:1.0": ONE, "alice/nginx@0.1.0/helm": TWO}


def document(names: object, version: object = 1) -> str:
    return json.dumps({"version": version, "names": names})


def test_names_are_found_by_repository_and_by_package() -> None:
    lock = parse(written(NAMES))

    assert NAMES == lock.names
    assert {"library/app": {"1.0": ONE}} == lock.tags
    assert {"alice/nginx": {Release("0.1.0", "helm"): TWO}} == lock.releases


def test_it_is_written_sorted_and_a_name_a_line() -> None:
    lines = written(NAMES).splitlines()

    assert f'    "alice/nginx@0.1.0/helm": "{TWO}",' == lines[3]
    assert f'    "library/app:1.0": "{ONE}"' == lines[4]


TAGS = st.from_regex(r"[a-z0-9]{1,8}(/[a-z0-9]{1,8})?:[A-Za-z0-9_][A-Za-z0-9._-]{0,8}", fullmatch=True)
PINS = st.from_regex(r"[a-z]{1,8}/[a-z]{1,8}@[0-9]\.[0-9]\.[0-9]/[a-z]{1,8}", fullmatch=True)


@given(st.dictionaries(TAGS | PINS, st.binary(max_size=4).map(Digest.of)))
def test_what_is_written_is_read_again(names: dict[str, Digest]) -> None:
    assert names == parse(written(names)).names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not an object"),
        ("{}", "version: must be 1"),
        (document({}, 2), "version: must be 1; a higher one is for a newer apprproxy"),
        (document({}, version=True), "version: must be 1"),
        (document([]), "names: must be an object"),
        ('{"version": 1, "names": {}, "more": 1}', "'more': there is no such key"),
        (document({"app:1": "sha256:abc"}), "names.app:1: not a sha256 or sha512 digest"),
        (document({"app:1": None}), "names.app:1: not a sha256 or sha512 digest"),
        (document({"app": str(ONE)}), "names: 'app' is neither"),
        (document({"app:../x": str(ONE)}), "names: 'app:../x' is neither"),
        *(
            (document({name: str(ONE)}), f"names: {name!r} is neither")
            for name in (
                "nginx@1.0.0/helm",
                "../x@1.0.0/helm",
                "a/.b@1.0.0/helm",
                "a/b@blobs/helm",
                "a/b@>1.0/helm",
                "a//b:1",
                "a/../b:1",
                "a/:1",
                "a..b:1",
            )
        ),
        (document({"a/b@1.0.0": str(ONE)}), "names: 'a/b@1.0.0' is neither"),
        (document({"a/b@1.0.0/helm": str(Digest.of(b"x", "sha512"))}), "names.a/b@1.0.0/helm: a package has a sha256"),
        (f'{{"version": 1, "names": {{"a:1": "{ONE}", "a:1": "{TWO}"}}}}', "'a:1' is given twice"),
        (" " * (MAX_TEXT + 1), f"larger than {MAX_TEXT} bytes"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(text: str, said: str) -> None:
    with pytest.raises(BadLock) as bad:
        parse(text)

    assert said in str(bad.value)


def test_an_empty_lock_has_no_names() -> None:
    assert {} == Lock().names


def test_of_fifty_thousand_names_the_one_that_stands_twice_is_found_at_once() -> None:
    names = [f'"app:{at}": "{ONE}"' for at in range(50_000)]
    text = f'{{"version": 1, "names": {{{",".join([*names, names[-1]])}}}}}'
    begin = time.process_time()
    with pytest.raises(BadLock, match="'app:49999' is given twice"):
        parse(text)

    assert 5.0 > time.process_time() - begin
