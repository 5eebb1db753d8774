"""Which host a request is made to."""

import pytest

from apprproxy.core.errors import Malformed
from apprproxy.core.host import Host
from apprproxy.face.host import asked_host

CORP = Host("registry.corp")


@pytest.mark.parametrize(
    ("raw", "fields", "host"),
    [
        ("/v2/", ["registry.corp"], CORP),
        ("/v2/", ["REGISTRY.corp:8080"], Host("registry.corp", 8080)),
        ("/v2/", [" registry.corp "], CORP),
        ("http://registry.corp/v2/", ["elsewhere.corp"], CORP),
        ("HTTP://Registry.Corp:80/v2/?n=1", [], Host("registry.corp", 80)),
        ("http://registry.corp", ["elsewhere.corp"], CORP),
        ("/v2/http://elsewhere.corp/", ["registry.corp"], CORP),
        ("/v2/", [], None),
        ("/v2/", [""], None),
        ("/v2/", ["no host"], None),
        ("http://[::1/v2/", ["registry.corp"], None),
        ("http://user@registry.corp/v2/", ["registry.corp"], None),
    ],
)
def test_the_targets_own_host_wins_over_the_field(raw: str, fields: list[str], host: Host | None) -> None:
    assert host == asked_host(raw, fields)


def test_two_host_fields_could_be_read_in_two_ways() -> None:
    with pytest.raises(Malformed):
        asked_host("/v2/", ["registry.corp", "elsewhere.corp"])
