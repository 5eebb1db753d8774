"""Views: a list of members, or members and the hosts by which clients reach them; a host leads to one place."""

import pytest
import yaml

from apprproxy.settings.show import effective
from tests.settings.files import complaint, read

TWO = "upstreams: {a: {kind: oci, url: 'https://a', ns: [a.corp]}, b: {kind: oci, url: 'https://b'}}\n"


def test_a_list_is_a_views_members() -> None:
    short, long = (read(TWO + f"views: {{corp: {view}}}").views["corp"] for view in ("[b, a]", "{members: [b, a]}"))

    assert (["b", "a"], []) == (short.members, short.hosts)
    assert short == long


def test_a_view_may_have_hosts() -> None:
    hosts = ["registry.corp", "registry.corp:8443", "[::1]", "[fd00::5]:5000", "10.0.0.1"]
    settings = read(TWO + f"views: {{corp: {{members: [a], hosts: {hosts}}}}}")

    assert hosts == settings.views["corp"].hosts


def test_the_environment_may_set_either_part() -> None:
    long = TWO + "views: {corp: {members: [a], hosts: [x.corp]}}"
    hosts = read(long, {"APPRPROXY_VIEWS__CORP__HOSTS": '["y.corp"]'}).views["corp"]
    members = read(long, {"APPRPROXY_VIEWS__CORP__MEMBERS": '["b"]'}).views["corp"]
    whole = read(long, {"APPRPROXY_VIEWS__CORP": '["b"]'}).views["corp"]

    assert (["a"], ["y.corp"]) == (hosts.members, hosts.hosts)
    assert (["b"], ["x.corp"]) == (members.members, members.hosts)
    assert (["b"], []) == (whole.members, whole.hosts)


def test_what_is_in_force_is_shown_as_it_is_written() -> None:
    text = TWO + "views: {default: [a, b], corp: {members: [a], hosts: [x.corp]}}"
    shown = effective(read(text))

    assert yaml.safe_load(text)["views"] == yaml.safe_load(shown)["views"]
    assert read(text).views == read(shown).views


@pytest.mark.parametrize(
    ("views", "said"),
    [
        ("{x: {hosts: [x.corp]}}", "views.x.members: is missing"),
        ("{x: {members: [a], host: [x.corp]}}", "views.x.host: there is no such key"),
        ("{x: {members: [c]}}", "views.x: there is no upstream 'c'"),
        ("{x: {members: a}}", "views.x.members: must be a list"),
        ("{x: {members: [a], hosts: x.corp}}", "views.x.hosts: must be a list"),
        ("{x: {members: [a], hosts: ['a b']}}", "views.x.hosts.0: not a host"),
        ("{x: {members: [a], hosts: ['https://x.corp']}}", "views.x.hosts.0: not a host"),
        ("{x: {members: [a], hosts: ['*.corp']}}", "views.x.hosts.0: not a host"),
        ("{x: {members: [a], hosts: ['x.corp:99999']}}", "views.x.hosts.0: not a port"),
        ("{x: {members: [a], hosts: ['::1']}}", "views.x.hosts.0: not a host"),
        ("{x: {members: [a], hosts: ['X.corp']}}", "views.x.hosts.0: write x.corp for 'X.corp'"),
        ("{x: {members: [a], hosts: ['[0::1]']}}", "views.x.hosts.0: write [::1] for"),
        ("{x: {members: [a], hosts: [x.corp, x.corp]}}", "views.x.hosts: x.corp is claimed by x already"),
        (
            "{x: {members: [a], hosts: [x.corp]}, y: {members: [b], hosts: [x.corp]}}",
            "views.y.hosts: x.corp is claimed",
        ),
        ("{x: {members: [b], hosts: [a.corp]}}", "views.x.hosts: a.corp is claimed by a already"),
    ],
)
def test_what_is_wrong_with_a_view_is_told_by_its_key(views: str, said: str) -> None:
    assert complaint(TWO + f"views: {views}").startswith(said)
