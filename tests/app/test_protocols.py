"""A protocol is one thing, whoever has a part of it."""

import pytest

from apprproxy.app.protocols import PROTOCOLS
from apprproxy.settings.protocols import ProtocolName


@pytest.mark.parametrize("name", PROTOCOLS)
def test_all_parts_of_a_protocol_call_it_the_same(name: ProtocolName) -> None:
    protocol = PROTOCOLS[name]

    assert (name, name) == (protocol.lists.protocol, getattr(protocol.face, "name", None))
