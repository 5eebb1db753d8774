"""Catalogues and tag lists as the search reads them: the latest version, and nothing that is no name."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.kind import Kind
from apprproxy.core.listing import Base, Facts, Listed
from apprproxy.oci.list_reader import OciListReader, latest

LISTS = OciListReader()


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"1.9.0", "1.10.0", "latest"}, "1.10.0"),
        ({"v1.9", "v1.10", "v1.11-rc1"}, "v1.10"),
        ({"2.0.0-alpha", "2.0.0-beta"}, "2.0.0-beta"),
        ({"1.0.0+a", "0.9"}, "1.0.0+a"),
        ({"latest", "main"}, "latest"),
        ({"main", "dev"}, "main"),
        (set(), ""),
    ],
)
def test_the_latest_is_the_highest_version(tags: set[str], expected: str) -> None:
    assert expected == latest(tags)


@given(
    st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda j: json.dumps(j).encode())
)
def test_whatever_an_upstream_sends_is_read_without_a_failure(document: bytes) -> None:
    assert [] == list(LISTS.listed(document))
    assert Facts("", 0) == LISTS.facts(Kind.TAGS, document)


def test_tags_that_are_none_do_not_count() -> None:
    document = json.dumps({"tags": ["1.0", "$(id)", "a b", 7, "1.0"]}).encode()

    assert Facts("1.0", 1) == LISTS.facts(Kind.TAGS, document)


def test_over_tls_no_client_is_told_to_trust_blindly() -> None:
    lines = [one.line for one in LISTS.commands(Base("gw.corp", tls=True), "hub", Listed("a/app", "v1.2.3"))]

    assert [
        "crane pull gw.corp/hub/a/app:v1.2.3 app.tar",
        "helm pull oci://gw.corp/hub/a/app --version v1.2.3",
    ] == lines
