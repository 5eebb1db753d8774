"""Each request as a log line."""

from typing import Any

from apprproxy.core.label import source_of
from apprproxy.core.model import Cache
from apprproxy.face.door import Report
from apprproxy.face.exchange import Exchange
from apprproxy.ops.journal import SLOW
from apprproxy.ops.logs import logger

SOME_TIME = 0.01
"""Seconds. Who is not asked for a while, and took less, is not told with each request: it has a line of its own."""
_QUIET = ("/healthz", "/readyz", "/metrics")


def log_request(report: Report) -> None:
    exchange = report.exchange
    if exchange.face == "ops" and exchange.status < 400 and exchange.name in _QUIET:
        return
    fields: dict[str, Any] = {
        "method": exchange.method,
        "face": exchange.face,
        "name": exchange.name or exchange.request.raw_path.partition("?")[0],
        "status": exchange.status,
        "bytes": exchange.sent,
        "cache": exchange.verdict.cache.value if exchange.verdict else None,
        "upstream": exchange.upstream or None,
        "seconds": round(report.seconds, 4),
        "waited": round(report.waited, 4),
        "client": exchange.request.remote,
    }
    if exchange.verdict is not None and exchange.verdict.detail is not None:
        fields["detail"] = exchange.verdict.detail
    if exchange.tried:
        fields |= _waited_for(exchange)
    if report.outcome != "done":
        fields["outcome"] = report.outcome
    if report.failure:
        fields["reason"] = report.failure
    failed = exchange.status >= 500 and report.outcome != "not-held"
    serious = failed or report.outcome in ("broken-off", "crashed")
    log = logger("apprproxy")
    (log.warning if serious else log.info)("request", **fields)


def _waited_for(exchange: Exchange) -> dict[str, str]:
    """Who sent the bytes, and whom the request had to wait for."""
    fields: dict[str, str] = {}
    if exchange.verdict is not None and exchange.verdict.cache is Cache.MISS:
        source = source_of(exchange.upstream, exchange.tried[-1].what)
        fields |= {"source": source} if source is not None else {}
    told = [one for one in exchange.tried if one.seconds >= SOME_TIME or not one.outcome.startswith("is not asked for")]
    if len(told) > 1 or sum(one.seconds for one in told) > SLOW:
        fields["tried"] = "; ".join(map(str, told))
    return fields
