"""What is private of an upstream is what an account of ours opens, of whatever kind it is."""

from pathlib import Path

from tests.fakes.members import member_of
from tests.peers.certificate import certify


def test_a_client_certificate_is_an_account_as_a_password_is(tmp_path: Path) -> None:
    """No mirror opens what it opens."""
    certificate = certify("hub.example", tmp_path)
    authority, account = {"ca_file": str(certificate.path)}, {"username": "bot", "password": "s3cret"}
    client = {"cert": str(certificate.path), "key": str(certificate.key)}

    assert [False, False] == [member_of("hub").private, member_of("hub", tls=authority).private]
    assert [True, True] == [member_of("hub", auth=account).private, member_of("hub", tls=client).private]
