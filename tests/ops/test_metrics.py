"""Dashboards and alerts rely on the names and labels of the metrics: they are a contract."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from apprproxy.core.digest import Digest
from apprproxy.core.events import (
    Asked,
    CredentialRefused,
    Event,
    Evicted,
    FlightBegan,
    FlightEnded,
    Followed,
    LieCaught,
    NameMoved,
    NotConnected,
    SetAside,
    SourceOpened,
    SourceShut,
    Trouble,
    Troubled,
)
from apprproxy.core.label import mirror
from apprproxy.ops.metrics import Metrics

ONE, OTHER = Digest.of(b"one"), Digest.of(b"other")

AVAILABLE = 'apprproxy_upstream_available{source="owner",upstream="hub"}'
CONTRACT = {
    "apprproxy_requests": "counter",
    "apprproxy_request_seconds": "histogram",
    "apprproxy_request_wait_seconds": "histogram",
    "apprproxy_client_bytes": "counter",
    "apprproxy_upstream_requests": "counter",
    "apprproxy_upstream_bytes": "counter",
    "apprproxy_upstream_seconds": "histogram",
    "apprproxy_upstream_wait_seconds": "histogram",
    "apprproxy_digest_mismatches": "counter",
    "apprproxy_moved_names": "counter",
    "apprproxy_credential_failures": "counter",
    "apprproxy_upstream_available": "gauge",
    "apprproxy_flights": "gauge",
    "apprproxy_flights_waiting": "gauge",
    "apprproxy_flight_followers": "counter",
    "apprproxy_cache_bytes": "gauge",
    "apprproxy_cache_blobs": "gauge",
    "apprproxy_evictions": "counter",
    "apprproxy_evicted_bytes": "counter",
    "apprproxy_troubles": "counter",
    "apprproxy_late_seconds": "counter",
    "apprproxy_connections_refused": "counter",
}


def after(*events: Event) -> dict[str, float]:
    """Every sample, by its name and labels as the exposition format writes them."""
    metrics = Metrics(["hub"])
    for event in events:
        metrics(event)
    lines = metrics.text().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_every_metric_of_the_contract_is_there_from_the_start() -> None:
    families = {f.name: f.type for f in text_string_to_metric_families(Metrics(["hub"]).text().decode())}
    process = {name for name in families if name.startswith("process_")}

    assert CONTRACT == {name: kind for name, kind in families.items() if name not in process}
    assert {"process_open_fds", "process_max_fds"} <= process


def test_an_upstream_shows_at_zero_before_anything_happened() -> None:
    found = after()

    assert 0 == found['apprproxy_digest_mismatches_total{source="owner",upstream="hub"}']
    assert 0 == found['apprproxy_moved_names_total{upstream="hub"}']
    assert 1 == found[AVAILABLE]


def test_events_are_counted() -> None:
    found = after(
        Asked("hub", "owner", "blob", "200", 7.0, 42, 0.3),
        LieCaught("hub", "owner", ONE, OTHER),
        NameMoved("hub", "x", ONE, OTHER, followed=False),
        CredentialRefused("hub", 401),
        Followed(),
        Evicted(1, 10),
        Evicted(2, 5, "disk"),
        Trouble("lookup", "hub", "x", "slow"),
        SetAside("index", "index.db.broken-1", "malformed"),
        NotConnected("connections"),
    )

    assert 1 == found['apprproxy_upstream_requests_total{kind="blob",source="owner",status="200",upstream="hub"}']
    assert 7 == found['apprproxy_upstream_seconds_sum{kind="blob",source="owner",upstream="hub"}']
    assert 0.3 == found['apprproxy_upstream_wait_seconds_sum{kind="blob",source="owner",upstream="hub"}']
    assert 42 == found['apprproxy_upstream_bytes_total{source="owner",upstream="hub"}']
    assert 1 == found['apprproxy_digest_mismatches_total{source="owner",upstream="hub"}']
    assert 1 == found['apprproxy_moved_names_total{upstream="hub"}']
    assert 1 == found['apprproxy_credential_failures_total{upstream="hub"}']
    assert 1 == found["apprproxy_flight_followers_total"]
    assert [1, 2] == [found[f'apprproxy_evictions_total{{reason="{why}"}}'] for why in ("cap", "disk")]
    assert [10, 5] == [found[f'apprproxy_evicted_bytes_total{{reason="{why}"}}'] for why in ("cap", "disk")]
    assert [1, 0] == [found[f'apprproxy_troubles_total{{upstream="hub",what="{what}"}}'] for what in ("lookup", "keep")]
    assert [1, 0] == [
        found[f'apprproxy_connections_refused_total{{reason="{why}"}}'] for why in ("connections", "files")
    ]


def test_statuses_that_an_upstream_makes_up_are_one_series() -> None:
    found = after(*(Asked("hub", "owner", "blob", str(status), 7.0) for status in (200, 524, 99, 600, 999)))
    asked = {
        name.split('status="')[1][:5].rstrip('",u'): times for name, times in found.items() if "requests_total" in name
    }

    assert {"200": 1, "524": 1, "other": 3} == asked


@pytest.mark.parametrize(("what", "available"), [("lookup", 0), ("bytes", 0), ("keep", 1), ("busy", 1)])
def test_an_answer_that_was_none_is_an_upstream_that_is_away(what: Troubled, available: int) -> None:
    page = Asked("hub", "owner", "tag", "404", 0.1)
    found = after(*(event for name in "abc" for event in (page, page, Trouble(what, "hub", name, "a page"))))

    assert available == found[AVAILABLE]


def test_answers_that_are_none_are_so_until_several_have_been_some() -> None:
    page = Asked("hub", "owner", "tag", "404", 0.1)
    away = [event for name in "abc" for event in (page, Trouble("lookup", "hub", name, "a page"))]

    assert [0, 0, 1] == [after(*away, *[page] * count)[AVAILABLE] for count in (0, 2, 9)]


def test_an_upstream_that_did_not_answer_at_all_is_available_with_its_first_answer() -> None:
    away = [
        event
        for name in "abcd"
        for event in (
            Asked("hub", "owner", "tag", "error", 0.1),
            Trouble("lookup", "hub", name, "closed the connection"),
        )
    ]

    assert [0, 1] == [after(*away, *[Asked("hub", "owner", "tag", "200", 0.1)] * count)[AVAILABLE] for count in (0, 1)]


def test_what_one_name_leads_to_says_nothing_of_its_upstream() -> None:
    well = Asked("hub", "owner", "tag", "200", 0.1)
    strange = [event for name in "aaaab" for event in (well, Trouble("lookup", "hub", name, "no manifest"))]
    found = after(*strange, *[well] * 9, *strange)

    assert 1 == found[AVAILABLE]


def test_what_is_held_can_be_asked_of_whoever_counts_for_all_processes() -> None:
    metrics, held = Metrics(["hub"]), [1.0, 10.0]
    metrics.read_held(lambda: held[0], lambda: held[1])
    held[:] = [7, 70]
    text = metrics.text().decode()

    assert "\napprproxy_cache_blobs 7.0\n" in text
    assert "\napprproxy_cache_bytes 70.0\n" in text


def test_flights_rise_and_fall() -> None:
    assert 1 == after(FlightBegan(), FlightBegan(), FlightEnded())["apprproxy_flights"]


def test_a_source_that_failed_is_not_available_until_it_answers_again() -> None:
    failed = Asked("hub", "owner", "blob", "error", 0.1)
    broken = Asked("hub", "owner", "blob", "502", 0.1)
    answered = Asked("hub", "owner", "blob", "404", 0.1)
    turned_away = Asked("hub", "owner", "blob", "429", 0.1, turned_away=True)

    assert 0 == after(failed)[AVAILABLE]
    assert 0 == after(broken)[AVAILABLE]
    assert 0 == after(turned_away)[AVAILABLE]
    assert 1 == after(failed, answered)[AVAILABLE]


def test_mirrors_show_from_the_start() -> None:
    metrics = Metrics(["hub"], [mirror("hub", 1), mirror("hub", 2)])
    text = metrics.text().decode()

    for source in ("owner", "mirror-1", "mirror-2"):
        assert f'apprproxy_upstream_available{{source="{source}",upstream="hub"}} 1.0' in text
        assert f'apprproxy_digest_mismatches_total{{source="{source}",upstream="hub"}} 0.0' in text


def test_a_source_that_is_shut_is_not_available_whatever_late_answers_come() -> None:
    late = Asked("hub", "owner", "blob", "200", 0.1)
    shut = SourceShut("hub", "owner", 1.0, "no connection")

    assert 0 == after(shut)[AVAILABLE]
    assert 0 == after(shut, late)[AVAILABLE]
    assert 1 == after(shut, SourceOpened("hub", "owner"))[AVAILABLE]
    assert 1 == after(shut, SourceOpened("hub", "owner"), late)[AVAILABLE]
