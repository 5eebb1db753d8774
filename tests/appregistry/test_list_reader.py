"""Lists of packages and channels as the search reads them: nothing that is no name, whatever comes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from apprproxy.appregistry.list_reader import PackageListReader
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Base, Facts, Listed

LISTS = PackageListReader()
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["name", "releases", "manifests"]), inner),
)


def test_a_package_has_what_its_list_says() -> None:
    listed = {"name": "alice/nginx", "releases": ["1.9.0", "1.10.0", "$(id)"], "manifests": ["helm", "a b"], "more": 1}

    assert [Listed("alice/nginx", "1.10.0", 2, ("helm",))] == list(LISTS.listed(json.dumps([listed]).encode()))


@given(st.binary() | any_json.map(lambda document: json.dumps(document).encode()))
def test_whatever_an_upstream_sends_is_read_without_a_failure(document: bytes) -> None:
    for one in LISTS.listed(document):
        assert all(line.line.isprintable() for line in LISTS.commands(Base("h"), "up", one))
    assert LISTS.facts(Kind.CHANNELS, document).channels is not None


def test_channels_are_told_by_name() -> None:
    channels = [{"name": "stable", "current": "1.0.0"}, {"name": "beta"}, {"name": "\x1b[31m"}, {}]

    assert Facts(channels=("beta", "stable")) == LISTS.facts(Kind.CHANNELS, json.dumps(channels).encode())
