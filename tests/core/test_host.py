"""A host has one spelling, however a client writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.host import Host, MalformedHost
from tests.core.laws import law


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("registry.corp", Host("registry.corp")),
        ("Registry.CORP", Host("registry.corp")),
        ("registry.corp.", Host("registry.corp")),
        ("registry.corp:8443", Host("registry.corp", 8443)),
        ("registry.corp:", Host("registry.corp")),
        ("127.0.0.1:80", Host("127.0.0.1", 80)),
        ("[::1]", Host("[::1]")),
        ("[::1]:5000", Host("[::1]", 5000)),
        ("[0:0:0:0:0:0:0:1]:5000", Host("[::1]", 5000)),
        ("[FD00::5]", Host("[fd00::5]")),
    ],
)
def test_however_it_is_written_it_is_one_host(text: str, host: Host) -> None:
    assert host == Host.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", ".", "a b", "a/b", "user@a", "a:b", "a:65536", "a:-1", "a:1:2", "::1", "[::1", "[x]", "[]"),
        *("[1.2.3.4]", "[fe80::1%eth0]", "-a", "a-", "registry.corp..", "ä.corp", "a:٣", "a\n", "x" * 255),
    ],
)
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(MalformedHost):
        Host.parse(text)


@law
@given(st.text() | st.text("aA.-:[]019f", max_size=20))
def test_whatever_a_client_sends_is_a_host_or_refused_and_one_spelling_is_its_own(text: str) -> None:
    try:
        host = Host.parse(text)
    except MalformedHost:
        return

    assert host == Host.parse(str(host))
    assert host.anywhere == Host.parse(host.name)
