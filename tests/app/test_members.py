"""What is private of an upstream is what an account of ours opens, of whatever kind it is."""

from pathlib import Path

from apprproxy.app.members import open_in
from apprproxy.settings import Settings
from tests.fakes.members import member_of
from tests.peers.certificate import certify


def test_a_client_certificate_is_an_account_as_a_password_is(tmp_path: Path) -> None:
    """No mirror opens what it opens."""
    certificate = certify("hub.example", tmp_path)
    authority, account = {"ca_file": str(certificate.path)}, {"username": "bot", "password": "s3cret"}
    client = {"cert": str(certificate.path), "key": str(certificate.key)}

    assert [False, False] == [member_of("hub").private, member_of("hub", tls=authority).private]
    assert [True, True] == [member_of("hub", auth=account).private, member_of("hub", tls=client).private]
    plain, authority_alone = member_of("hub"), member_of("hub", tls=authority)
    assert plain.identity == authority_alone.identity != member_of("hub", tls=client).identity


def test_what_came_with_a_client_certificate_is_nobody_elses_once_it_is_taken_away(tmp_path: Path) -> None:
    certificate = certify("hub.example", tmp_path)
    client = {"cert": str(certificate.path), "key": str(certificate.key)}
    before = member_of("hub", tls=client).where("library/app")
    plain = member_of("hub").where("library/app")
    for keys in ({}, {"auth": {"username": "bot", "password": "s3cret", "share": True}}, {"tls": client}):
        section = {"kind": "oci", "url": "http://127.0.0.1:9", **keys}
        public = open_in(Settings.model_validate({"upstreams": {"hub": section}})).public
        assert (False, True) == (public(before), public(plain))
