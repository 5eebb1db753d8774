"""The metrics, by the names that dashboards and alerts rely on. Labels come from closed sets."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
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
    NotConnected,
    NotConnectedBecause,
    SourceOpened,
    SourceShut,
    Trouble,
    Troubled,
)
from apprproxy.core.label import OWNER, Label
from apprproxy.core.model import Cache
from apprproxy.face.door import Report

disable_created_metrics()  # type: ignore[no-untyped-call]  # when a counter was made tells nobody anything
_SEVERAL = 3
"""Names one after the other."""
_ASKED_EACH = 4
"""Questions of which one name's answer is made at the most: by HEAD, by GET, by its digest, of its repository."""
_STATUSES = {"error", *(str(int(status)) for status in HTTPStatus), *map(str, range(520, 531))}
"""With those of a well-known proxy. Any other is made up, and a thousand of them would be a thousand series."""
_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300)


class Answers:
    """Of each upstream: are they none, as where a balancer before it has a page for everything? One name says nothing:
    anybody may publish a strange document."""

    def __init__(self) -> None:
        self._failed: dict[str, set[str]] = {}
        self._well: Counts[str] = Counts()

    def asked(self, source: Label, *, answered: bool) -> None:
        """What was ``answered`` may be found to be none later."""
        if source.source != OWNER:
            return
        self._well[source.upstream] = self._well[source.upstream] + 1 if answered else 0
        if not answered or self._well[source.upstream] > _ASKED_EACH:
            self._failed.pop(source.upstream, None)

    def failed(self, upstream: str, name: str) -> None:
        if not self._well[upstream]:  # nobody answered, which tells of itself
            return
        self._well[upstream] = 0
        names = self._failed.setdefault(upstream, set())
        if len(names) < _SEVERAL:
            names.add(name)

    def are_none(self, source: Label) -> bool:
        """By now, and until several have come that were some."""
        return source.source == OWNER and len(self._failed.get(source.upstream, ())) >= _SEVERAL


class Metrics:
    """Implements Observer, and is told of each request by ``report``. ``upstreams`` and their ``mirrors`` show
    from the start, at zero."""

    def __init__(self, upstreams: Iterable[str], mirrors: Iterable[Label] = ()) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._shut: set[tuple[str, str]] = set()
        self._answers = Answers()
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        request, asked = ("face", "kind", "cache"), ("upstream", "source", "kind")
        # what clients asked
        self._requests = counter("requests", "Requests answered", "face", "kind", "status", "cache")
        self._seconds = histogram("request_seconds", "Time from a request's header to the end of its answer", *request)
        self._waited = histogram(
            "request_wait_seconds",
            "Time from a request's header to that of its answer: what comes after is the client's own pace",
            *request,
        )
        self._client_bytes = counter("client_bytes", "Body bytes sent to clients", "face", "cache")
        # what upstreams were asked
        self._asked = counter("upstream_requests", "Requests to upstreams", *asked, "status")
        self._received = counter("upstream_bytes", "Body bytes received from upstreams", "upstream", "source")
        self._asked_seconds = histogram(
            "upstream_seconds", "Time from a request to an upstream to the end of its answer", *asked
        )
        self._asked_wait = histogram(
            "upstream_wait_seconds",
            "Time from a request to an upstream to the header of its answer, redirects and tokens included",
            *asked,
        )
        # how upstreams behave
        self._mismatches = counter(
            "digest_mismatches", "Bytes that were not what they were asked for as", "upstream", "source"
        )
        self._moved = counter("moved_names", "Names whose first digest was replaced upstream", "upstream")
        self._credentials = counter("credential_failures", "Times an upstream refused our credential", "upstream")
        self._available = gauge(
            "upstream_available",
            "Whether the last request to the source was answered (1), or it failed, those for three names in a row were"
            " answered by what is none, or it is not asked for a while (0)",
            "upstream",
            "source",
        )
        # transfers, and what is held
        self._flights = gauge("flights", "Transfers under way, those that wait their turn included")
        self._waiting = gauge("flights_waiting", "Transfers that wait their turn")
        self._followers = counter("flight_followers", "Requests that joined a transfer under way")
        self._bytes = gauge("cache_bytes", "Bytes of blobs held")
        self._blobs = gauge("cache_blobs", "Blobs held")
        why = "to stay below the cap, or because the disk was full before"
        self._evictions = counter("evictions", f"Blobs evicted {why}", "reason")
        self._evicted = counter("evicted_bytes", f"Bytes of blobs evicted {why}", "reason")
        self._troubles = counter(
            "troubles",
            "Times an upstream (lookup, bytes) or something of ours (keep, index, …) failed",
            "upstream",
            "what",
        )
        self._late = counter(
            "late_seconds", "Seconds by which this process was late with what was due, looked at twice a second"
        )
        self._refused = counter(
            "connections_refused",
            "Clients' connections closed at once, or not accepted, for there are too many",
            "reason",
        )
        for why_not in get_args(NotConnectedBecause):
            self._refused.labels(why_not)
        for reason in ("cap", "disk"):
            self._evictions.labels(reason)
            self._evicted.labels(reason)
        for upstream in upstreams:
            self._moved.labels(upstream)
            self._credentials.labels(upstream)
            for what in get_args(Troubled):
                self._troubles.labels(upstream, what)
            self._show(upstream, OWNER)
        for label in mirrors:
            self._show(label.upstream, label.source)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"apprproxy_{name}", about, labels, registry=self.registry)

    def _gauge(self, name: str, about: str, *labels: str) -> Gauge:
        return Gauge(f"apprproxy_{name}", about, labels, registry=self.registry)

    def _histogram(self, name: str, about: str, *labels: str) -> Histogram:
        return Histogram(f"apprproxy_{name}", about, labels, buckets=_SECONDS, registry=self.registry)

    def _show(self, upstream: str, source: str) -> None:
        self._mismatches.labels(upstream, source)
        self._available.labels(upstream, source).set(1)

    def report(self, report: Report) -> None:
        exchange = report.exchange
        kind = exchange.kind.label if exchange.kind else "other"
        nothing = Cache.MISS if exchange.kind else Cache.BYPASS
        cache = (exchange.verdict.cache if exchange.verdict else nothing).value
        status = str(exchange.status) if report.outcome == "done" else report.outcome
        self._requests.labels(exchange.face, kind, status, cache).inc()
        self._seconds.labels(exchange.face, kind, cache).observe(report.seconds)
        self._waited.labels(exchange.face, kind, cache).observe(report.waited)
        if exchange.sent:
            self._client_bytes.labels(exchange.face, cache).inc(exchange.sent)

    def __call__(self, event: Event) -> None:
        match event:
            case Asked(upstream, source, kind, status, seconds, received, answered, away, not_held=not_held):
                self._asked.labels(upstream, source, kind, status if status in _STATUSES else "other").inc()
                self._asked_seconds.labels(upstream, source, kind).observe(seconds)
                self._asked_wait.labels(upstream, source, kind).observe(answered)
                self._received.labels(upstream, source).inc(received)
                no_answer = away or status == "error" or (status >= "500" and not not_held)
                failed = no_answer or (upstream, source) in self._shut
                self._answers.asked(label := Label(upstream, source), answered=not failed)
                self._available.labels(upstream, source).set(0 if failed or self._answers.are_none(label) else 1)
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
            case Evicted(blobs, size, reason):
                self._evictions.labels(reason).inc(blobs)
                self._evicted.labels(reason).inc(size)
            case NotConnected(because):
                self._refused.labels(because).inc()
            case Trouble():
                self._troubled(event)

    def _troubled(self, trouble: Trouble) -> None:
        self._troubles.labels(trouble.upstream, trouble.what).inc()
        if trouble.what in ("lookup", "bytes"):
            self._answers.failed(trouble.upstream, trouble.name)
            if self._answers.are_none(Label(trouble.upstream)):
                self._available.labels(trouble.upstream, OWNER).set(0)

    def read_held(self, blobs: Callable[[], float], size: Callable[[], float]) -> None:
        """Ask these whenever the metrics are read, rather than count what this process sees: others store as well."""
        self._blobs.set_function(blobs)
        self._bytes.set_function(size)

    def read_waiting(self, waiting: Callable[[], float]) -> None:
        """Ask this whenever the metrics are read."""
        self._waiting.set_function(waiting)

    def late(self, seconds: float) -> None:
        self._late.inc(seconds)

    def certificate_ends(self, at: float) -> None:
        """Not there without TLS: at zero it would have ended long ago."""
        ends = self._gauge("certificate_not_after_timestamp_seconds", "When the certificate of server.tls ends")
        ends.set(at)

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)
