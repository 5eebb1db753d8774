"""The document that describes the end points is true: of the routes, of the answers, and of the version."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import yaml

from apprproxy import __version__
from apprproxy.app.protocols import LISTS
from apprproxy.search.corpus import Match
from apprproxy.search.listing import State
from tests.api.test_provenance import pull
from tests.api.test_search import appr, quay
from tests.fakes.gateway import Gateways, Running, oci
from tests.fakes.registry import Registry

ROOT = Path(__file__).parents[2]
SERVED = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())


async def gateway_with_content(gateways: Gateways, registry: Registry, old: Any) -> Running:
    registry.push("library/app", "1.0", b"layer")
    gateway = await gateways.start({"hub": oci(registry), "old": appr(old)})
    await pull(gateway)
    await gateway.get("/old/cnr/api/v1/packages/alice/nginx/1.0.0/helm/pull")
    return gateway


async def test_the_document_in_docs_is_served(gateways: Gateways, registry: Registry) -> None:
    gateway = await gateways.start({"hub": registry})
    got = await gateway.get("/api/openapi.yaml")

    assert (200, "application/yaml") == (got.status, got.headers["Content-Type"])
    assert SERVED == yaml.safe_load(got.body)
    assert __version__ == SERVED["info"]["version"]
    assert 0 == registry.count()


async def test_every_path_that_it_has_is_served_and_no_other(gateways: Gateways, registry: Registry) -> None:
    gateway = await gateways.start({"hub": registry})
    for path in SERVED["paths"]:
        posted = await gateway.ask("POST", path)
        got = await gateway.get(path)
        head = await gateway.head(path)

        assert (405, "GET, HEAD") == (posted.status, posted.headers["Allow"])
        assert re.fullmatch(
            SERVED["components"]["headers"]["X-Request-Id"]["schema"]["pattern"], got.headers["X-Request-Id"]
        )
        assert (got.status, b"") == (head.status, head.body)
        assert got.status in (200, 400)
    assert 404 == (await gateway.get("/api/other")).status


def test_its_closed_sets_are_those_of_the_code() -> None:
    schemas = SERVED["components"]["schemas"]

    assert sorted(LISTS) == schemas["Kind"]["enum"]
    assert [match.name.lower() for match in Match] == schemas["Result"]["properties"]["match"]["enum"]
    assert [state.value for state in State] == schemas["Source"]["properties"]["state"]["enum"]


async def test_schemathesis_finds_nothing_that_it_does_not_say(gateways: Gateways, registry: Registry) -> None:
    """Hundreds of requests, right and wrong, each answer held against the schema."""
    async with quay("alice/nginx") as old:
        gateway = await gateway_with_content(gateways, registry, old)
        found = await asyncio.to_thread(explored, gateway.url)

    assert {"search", "provenance"} == found.keys(), "it never asks for the document itself"
    assert min(found.values()) > 0


async def test_full_answers_fit_their_schema(gateways: Gateways, registry: Registry) -> None:
    """Those with something in them, which random questions seldom get."""
    async with quay("alice/nginx") as old:
        gateway = await gateway_with_content(gateways, registry, old)
        paths = ("search?q=a", "provenance?name=hub/library/app:1.0", "provenance?name=old/alice/nginx@1.0.0/helm")
        for path in paths:
            got = await gateway.get(f"/api/{path}")
            schema = "Results" if path.startswith("search") else "Provenance"
            document = {"$ref": f"#/components/schemas/{schema}", "components": SERVED["components"]}

            assert 200 == got.status
            jsonschema_rs.Draft202012Validator(document).validate(json.loads(got.body))


def explored(url: str) -> dict[str, int]:
    """How many requests each operation was asked; raises what schemathesis finds."""
    import schemathesis  # here: it takes seconds
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.core.result import Ok

    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.yaml")
    counts: dict[str, int] = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok)
        operation = result.ok()

        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=60,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def check(case: Any) -> None:
                label = str(operation.definition.raw["operationId"])  # noqa: B023 — called before the loop goes on
                counts[label] = counts.get(label, 0) + 1
                case.call_and_validate()

            check()
    return counts
