"""What is private of an upstream is what an account of ours opens, of whatever kind it is."""

from pathlib import Path

from apprproxy.app.members import public_in
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


def test_without_an_account_an_upstream_is_everybodys_and_with_one_or_a_certificate_it_is_not(tmp_path: Path) -> None:
    certificate = certify("hub.example", tmp_path)
    sections: dict[str, dict[str, object]] = {
        "plain": {},
        "account": {"auth": {"username": "bot", "password": "s3cret", "share": True}},
        "certificate": {"tls": {"cert": str(certificate.path), "key": str(certificate.key)}},
    }
    upstreams = {name: {"kind": "oci", "url": "http://127.0.0.1:9", **keys} for name, keys in sections.items()}

    assert [member_of("plain").identity] == public_in(Settings.model_validate({"upstreams": upstreams}))
