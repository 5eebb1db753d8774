"""The metrics, by the names that dashboards and alerts rely on. Labels come from closed sets."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest

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
    SetAside,
    SourceOpened,
    SourceShut,
    Stored,
    Trouble,
)
from apprproxy.core.label import OWNER, Label
from apprproxy.face.door import Report

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter was made tells nobody anything
_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)


class Metrics:
    """Implements Observer, and is told of each request by ``report``. ``upstreams`` and their ``mirrors`` show
    from the start, at zero."""

    def __init__(self, upstreams: Iterable[str], mirrors: Iterable[Label] = ()) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter(
            "apprproxy_requests", "Requests answered", ("face", "kind", "status", "cache"), registry=registry
        )
        self._seconds = Histogram(
            "apprproxy_request_seconds",
            "Time from a request's header to the end of its answer",
            ("face", "kind", "cache"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._client_bytes = Counter(
            "apprproxy_client_bytes", "Body bytes sent to clients", ("face", "cache"), registry=registry
        )
        self._asked = Counter(
            "apprproxy_upstream_requests",
            "Requests to upstreams",
            ("upstream", "source", "kind", "status"),
            registry=registry,
        )
        self._received = Counter(
            "apprproxy_upstream_bytes", "Body bytes received from upstreams", ("upstream", "source"), registry=registry
        )
        self._asked_seconds = Histogram(
            "apprproxy_upstream_seconds",
            "Time from a request to an upstream to the end of its answer",
            ("upstream", "source", "kind"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._mismatches = Counter(
            "apprproxy_digest_mismatches",
            "Bytes that were not what they were asked for as",
            ("upstream", "source"),
            registry=registry,
        )
        self._moved = Counter(
            "apprproxy_moved_names", "Names whose first digest was replaced upstream", ("upstream",), registry=registry
        )
        self._credentials = Counter(
            "apprproxy_credential_failures",
            "Times an upstream refused our credential",
            ("upstream",),
            registry=registry,
        )
        self._available = Gauge(
            "apprproxy_upstream_available",
            "Whether the last request to the source was answered (1), or it failed or is not asked for a while (0)",
            ("upstream", "source"),
            registry=registry,
        )
        self._flights = Gauge("apprproxy_flights", "Transfers under way", registry=registry)
        self._followers = Counter(
            "apprproxy_flight_followers", "Requests that joined a transfer under way", registry=registry
        )
        self._bytes = Gauge("apprproxy_cache_bytes", "Bytes of blobs held", registry=registry)
        self._blobs = Gauge("apprproxy_cache_blobs", "Blobs held", registry=registry)
        self._shut: set[tuple[str, str]] = set()
        self._evictions = Counter("apprproxy_evictions", "Blobs evicted to stay below the cap", registry=registry)
        self._evicted = Counter(
            "apprproxy_evicted_bytes", "Bytes of blobs evicted to stay below the cap", registry=registry
        )
        for upstream in upstreams:
            self._moved.labels(upstream)
            self._credentials.labels(upstream)
            self._show(upstream, OWNER)
        for label in mirrors:
            self._show(label.upstream, label.source)

    def _show(self, upstream: str, source: str) -> None:
        self._mismatches.labels(upstream, source)
        self._available.labels(upstream, source).set(1)

    def report(self, report: Report) -> None:
        exchange = report.exchange
        kind = exchange.kind.label if exchange.kind else "other"
        cache = exchange.verdict.cache.value if exchange.verdict else "bypass"
        status = str(exchange.status) if report.outcome == "done" else report.outcome
        self._requests.labels(exchange.face, kind, status, cache).inc()
        self._seconds.labels(exchange.face, kind, cache).observe(report.seconds)
        if exchange.sent:
            self._client_bytes.labels(exchange.face, cache).inc(exchange.sent)

    def __call__(self, event: Event) -> None:
        match event:
            case Asked(upstream, source, kind, status, seconds, received):
                self._asked.labels(upstream, source, kind, status).inc()
                self._asked_seconds.labels(upstream, source, kind).observe(seconds)
                self._received.labels(upstream, source).inc(received)
                failed = status == "error" or status >= "500" or (upstream, source) in self._shut
                self._available.labels(upstream, source).set(0 if failed else 1)
            case LieCaught(upstream, source, got=Digest()):
                self._mismatches.labels(upstream, source).inc()
            case NameMoved(upstream):
                self._moved.labels(upstream).inc()
            case CredentialRefused(upstream):
                self._credentials.labels(upstream).inc()
            case SourceShut(upstream, source):
                self._shut.add((upstream, source))
                self._available.labels(upstream, source).set(0)
            case SourceOpened(upstream, source):
                self._shut.discard((upstream, source))
                self._available.labels(upstream, source).set(1)
            case FlightBegan():
                self._flights.inc()
            case FlightEnded():
                self._flights.dec()
            case Followed():
                self._followers.inc()
            case Stored(size):
                self.held(1, size)
            case Evicted(blobs, size):
                self._evictions.inc(blobs)
                self._evicted.inc(size)
                self.held(-blobs, -size)
            case Trouble() | SetAside():
                pass

    def held(self, blobs: int, size: int) -> None:
        """So many more blobs are held."""
        self._blobs.inc(blobs)
        self._bytes.inc(size)

    def read_held(self, blobs: Callable[[], float], size: Callable[[], float]) -> None:
        """Ask these whenever the metrics are read, rather than count what this process sees: others store as well."""
        self._blobs.set_function(blobs)
        self._bytes.set_function(size)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
