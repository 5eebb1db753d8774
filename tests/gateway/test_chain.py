"""A gateway in front of a gateway: each says how its answer came about, and both hold what went through."""

from tests.fakes import lies
from tests.fakes.gateway import Gateways
from tests.fakes.registry import Registry

BLOB = b"a layer" * 1000


async def test_verdicts_are_appended_along_the_way(registry: Registry, gateways: Gateways) -> None:
    digest = registry.add_blob("library/app", BLOB)
    registry.push("library/app", "1.0", b"layer")
    inner = await gateways.start({"hub": registry}, cache="inner")
    outer = await gateways.start({"near": {"kind": "oci", "url": inner.url}}, cache="outer")
    blob, tag = f"/v2/near/hub/library/app/blobs/{digest}", "/v2/near/hub/library/app/manifests/1.0"
    cold, warm, named = await outer.get(blob), await outer.get(blob), await outer.get(tag)

    assert "apprproxy; fwd=uri-miss; stored, apprproxy; fwd=uri-miss; stored" == cold.headers["Cache-Status"]
    assert "apprproxy; hit" == warm.headers["Cache-Status"]
    assert named.headers["Cache-Status"].endswith(", apprproxy; fwd=uri-miss; stored")
    assert BLOB == cold.body
    assert 1 == registry.count("GET blob")


async def test_a_hostile_cache_status_is_not_passed_on(registry: Registry, gateways: Gateways) -> None:
    digest = registry.add_blob("library/app", BLOB)

    registry.on["blob"] = lies.says(200, BLOB, Cache_Status="x" * 2000)
    gateway = await gateways.start({"hub": registry})
    answer = await gateway.get(f"/v2/hub/library/app/blobs/{digest}")

    assert "apprproxy; fwd=uri-miss; stored" == answer.headers["Cache-Status"]
