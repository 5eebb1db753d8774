"""Which host a request is made to."""

import pytest

from apprproxy.core.errors import Denied, Malformed
from apprproxy.core.host import Host
from apprproxy.face.host import asked_host, refuse_foreign
from tests.fakes.gateway import Gateways, oci
from tests.fakes.registry import Registry

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


KNOWN = frozenset({CORP, Host("packages.corp", 8080)})


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [""],
        ["localhost:8080"],
        ["LOCALHOST."],
        ["hub.localhost"],
        ["127.0.0.1:8080"],
        ["[::1]:8080"],
        ["workstation:8080"],
        ["registry.corp"],
        ["registry.corp:5000"],
        ["packages.corp:8080"],
    ],
)
def test_by_an_address_a_short_name_or_a_name_of_ours_anybody_may_come(fields: list[str]) -> None:
    refuse_foreign("/v2/", fields, KNOWN)


@pytest.mark.parametrize(
    "field",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "packages.corp",
        "a!b.evil",
    ],
)
def test_a_domain_that_is_none_of_ours_may_be_anybodys(field: str) -> None:
    with pytest.raises(Denied, match=r"auth\.share"):
        refuse_foreign("/v2/", [field], KNOWN)


async def test_a_page_whose_host_has_our_address_reads_nothing_that_an_account_may(
    registry: Registry, gateways: Gateways
) -> None:
    """To a browser that host is the page's own, and so it lets the page read the answers (DNS rebinding)."""
    registry.push("library/app", "1.0", b"layer")
    paths = ["/v2/hub/library/app/manifests/1.0", "/v2/hub/_catalog", "/api/search?q=app", "/metrics"]
    alone = {"username": "bot", "password": "s3cret"}
    gateway = await gateways.start(
        {"hub": oci(registry, auth=alone)}, views={"corp": {"members": ["hub"], "hosts": [str(CORP)]}}
    )
    refused = [(await gateway.get(path, Host="evil.example:8080")).status for path in paths]

    assert [403] * len(paths) == refused
    assert 0 == registry.count()
    assert [200, 200] == [(await gateway.get(paths[0], Host=host)).status for host in ("localhost", str(CORP))]


async def test_what_is_shared_is_read_by_whatever_host(registry: Registry, gateways: Gateways) -> None:
    registry.push("library/app", "1.0", b"layer")
    shared = {"username": "bot", "password": "s3cret", "share": True}
    gateway = await gateways.start({"hub": oci(registry, auth=shared)})

    assert 200 == (await gateway.get("/v2/hub/library/app/manifests/1.0", Host="any.example")).status
