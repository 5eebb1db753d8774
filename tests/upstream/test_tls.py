"""What TLS itself costs whoever asks an upstream, which no limit on answers sees."""

import ssl
from pathlib import Path

import pytest

from apprproxy.app.lines import client_tls, foreign_tls
from apprproxy.settings.reach import ClientTls
from tests.peers.certificate import certify


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("with_authority", [True, False])
def test_no_upstream_chooses_the_numbers_that_keys_are_agreed_with(
    tmp_path: Path, own: bool, with_authority: bool
) -> None:
    """One of ten thousand bits holds up everybody for a second, at each connection."""
    settings = ClientTls(ca_file=certify("127.0.0.1", tmp_path).path) if with_authority else ClientTls()
    context = client_tls("upstreams.hub", settings) if own else foreign_tls("upstreams.hub", settings)

    assert isinstance(context, ssl.SSLContext)
    assert [] == [cipher["name"] for cipher in context.get_ciphers() if cipher["kea"] == "kx-dhe"]
