"""Patterns of names: what no name can fit is refused, with what may have been meant; what some name fits is taken."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.appregistry.paths import package_name
from apprproxy.gateway.members.rules import matches
from apprproxy.oci.names import repository
from apprproxy.settings.pattern import fits_none
from apprproxy.settings.protocols import ProtocolName
from tests.settings.files import complaint, read

KEYS = ["own", "allow", "deny"]


def upstream(kind: str, key: str, pattern: str) -> str:
    return f"upstreams: {{a: {{kind: {kind}, url: 'https://a', {key}: ['{pattern}']}}}}"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("kind", "pattern", "meant"),
    [
        ("oci", "/corp/*", "corp/*"),
        ("oci", "corp/", "corp/*"),
        ("oci", "corp//app", "corp/app"),
        ("oci", "Corp/*", "corp/*"),
        ("oci", "corp/.*", "corp/*"),
        ("oci", "corp/_app", ""),
        ("appr", "/corp/*", "corp/*"),
        ("appr", "corp/", "corp/*"),
        ("appr", "corp", "corp/*"),
        ("appr", "a/corp/*", "corp/*"),
        ("appr", "Corp/.*", "Corp/*"),
    ],
)
def test_a_pattern_that_no_name_fits_is_refused(key: str, kind: str, pattern: str, meant: str) -> None:
    guess = f"; did you mean {meant}?" if meant else ""

    assert f"upstreams.a.{key}: {pattern} fits no name that there can be for kind: {kind}{guess}" == complaint(
        upstream(kind, key, pattern)
    )


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        ("oci", "corp/*"),
        ("oci", "*"),
        ("oci", "*/app"),
        ("oci", "corp-*"),
        ("oci", "?orp/a*b"),
        ("oci", "app"),
        ("oci", "a.b__c/d-e"),
        ("appr", "Corp/*"),
        ("appr", "corp*"),
        ("appr", "*"),
        ("appr", "corp?app"),
    ],
)
def test_a_pattern_that_a_name_fits_is_taken(key: str, kind: str, pattern: str) -> None:
    assert [pattern] == getattr(read(upstream(kind, key, pattern)).upstreams["a"], key)


@pytest.mark.parametrize(
    ("kind", "segment"), [("oci", "[a-z0-9]([-._]?[a-z0-9])?"), ("appr", "[A-Za-z0-9_-][A-Z._-]?")]
)
@given(data=st.data())
def test_what_is_refused_is_fitted_by_no_name(kind: ProtocolName, segment: str, data: st.DataObject) -> None:
    count = r"{1,2}" if kind == "oci" else r"{1}"
    name = data.draw(st.from_regex(re.compile(rf"{segment}(/{segment}){count}", re.ASCII), fullmatch=True))
    repository(name) if kind == "oci" else package_name(*name.split("/"))
    pattern = "".join(data.draw(st.sampled_from([one, one, "*", "?"])) for one in name)

    assert matches(pattern, name)
    assert not fits_none(pattern, kind)
