"""The two tables of protocols name the same ones."""

from typing import get_args

from apprproxy.app.protocols import PROTOCOLS
from apprproxy.settings.protocols import KEYS, ProtocolName


def test_every_protocol_that_can_be_configured_is_spoken() -> None:
    spoken = set(get_args(ProtocolName))

    assert set(PROTOCOLS) == spoken
    assert set(KEYS) == spoken
