"""A push is read piece by piece, and as a JSON reader would read it whole."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.appregistry import push_body
from apprproxy.appregistry.push_body import pushed_archive, pushed_titles
from apprproxy.core.errors import Malformed
from tests.core.laws import law
from tests.fakes.content import some_bytes

PACKAGE = some_bytes(1_000_000)
CODED = base64.b64encode(PACKAGE).decode()
TITLES = ("alice/nginx@1.0.0/helm", "alice/nginx@1.0.0/-")


def push(blob: str, **more: str) -> bytes:
    return json.dumps({"release": "1.0.0", **more, "media_type": "helm", "blob": blob}).encode()


def test_a_package_is_found_beside_what_is_said_of_it() -> None:
    body = push(CODED, note='it says \\"blob\\": "x\\\\"')

    assert (TITLES, PACKAGE) == (pushed_titles("alice/nginx", body), pushed_archive(body))


@pytest.mark.parametrize(
    "body",
    [
        push(CODED).replace(b"/", b"\\/").replace(b"+", b"\\u002B"),
        push(base64.encodebytes(PACKAGE).decode()),
        push(CODED, other="x" * 100_000 + '"'),
        push(CODED, other="\u00e9" * 100_000),
        json.dumps({"blob": CODED, "release": "1.0.0", "media_type": "helm"}, indent=2).encode(),
    ],
    ids=["escaped", "in lines", "beside another", "in no ASCII", "laid out"],
)
def test_a_package_is_found_however_it_is_written(body: bytes) -> None:
    assert (TITLES, PACKAGE) == (pushed_titles("alice/nginx", body), pushed_archive(body))


@pytest.mark.parametrize(
    "body",
    [push(CODED[:-3]), push("\u00e9" * 100_000), push(CODED)[:-20], push("").replace(b'""', b"12"), push(CODED[:9])],
    ids=["cut off", "no base64", "no end", "a number", "a short one cut off"],
)
def test_what_is_no_package_is_none(body: bytes) -> None:
    assert b"" == pushed_archive(body)


@pytest.mark.parametrize(
    "body",
    [
        b" " * 2_000_000 + b"{}",
        b'{"release":' + b"9" * 2_000_000 + b"}",
        b'{"release":"' + b'\\"' * 200_000 + b'"}',
        b'{"release":"' + b"\\" * 200_000 + b'"}',
        b'{"a":[' + b"1," * 20_000 + b"1]}",
    ],
    ids=["blanks", "digits", "quotes", "backslashes", "fields"],
)
def test_what_would_take_long_to_read_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        pushed_titles("alice/nginx", body)


@law
@given(st.binary(max_size=60), st.text(max_size=30), st.integers(4, 40), st.booleans())
def test_pieces_of_any_size_are_the_whole(package: bytes, note: str, size: int, ascii_only: bool) -> None:
    fields = {"note": note, "blob": base64.b64encode(package).decode()}
    body = json.dumps(fields, ensure_ascii=ascii_only).encode(errors="replace").replace(b"/", b"\\/")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(push_body, "LONG", size)
        patch.setattr(push_body, "PIECE", max(size, 12))

        assert package == pushed_archive(body)


# --- nothing that is said elsewhere stands for a long string


def test_a_number_is_not_taken_for_a_string_that_stands_elsewhere() -> None:
    body = b'{"release":"1.0.0","other":"%s","blob":28}' % CODED.encode()

    assert 28 == body.index(CODED.encode())
    assert b"" == pushed_archive(body)


@pytest.mark.parametrize("around", ['1"{}"', '-"{}"', '"{}"5', '1e"{}"'])
def test_digits_beside_a_long_string_make_no_number_of_it(around: str) -> None:
    body = ('{"release":"1.0.0","blob":"QUJD","x":' + around.format(CODED) + "}").encode()

    assert () == pushed_titles("alice/nginx", body)


def test_a_long_name_of_a_field_hides_no_release() -> None:
    body = json.dumps({CODED: 1, "release": "1.0.0", "media_type": "helm", "blob": "QUJD"}).encode()

    assert TITLES == pushed_titles("alice/nginx", body)


@pytest.mark.parametrize(
    "named",
    [{"media_type": "m" * 60_000}, {"media_type": "a b"}, {"release": "9" * 129 + ".0.0"}, {"release": "1.0.0\n"}],
)
def test_a_release_that_no_manifest_could_name_is_none(named: dict[str, str]) -> None:
    """What was pushed is remembered for good, and a server takes names of any length."""
    body = json.dumps({"release": "1.0.0", "media_type": "helm", "blob": "", **named}).encode()

    assert () == pushed_titles("alice/nginx", body)


def test_a_format_that_is_pushed_in_its_long_form_is_the_one_that_manifests_name() -> None:
    named = {"release": "1.0.0", "media_type": "application/vnd.appr.package-manifest.helm.v0.json"}

    assert TITLES == pushed_titles("alice/nginx", json.dumps(named).encode())
