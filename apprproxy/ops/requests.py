"""Each request as a log line."""

from typing import Any

from apprproxy.core.model import Cache
from apprproxy.face.door import Report
from apprproxy.ops.journal import SLOW
from apprproxy.ops.logs import logger

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
    if exchange.tried and exchange.verdict is not None and exchange.verdict.cache is Cache.MISS:
        fields["source"] = exchange.tried[-1].what
    if exchange.tried and (len(exchange.tried) > 1 or report.waited > SLOW):
        fields["tried"] = "; ".join(map(str, exchange.tried))
    if report.outcome != "done":
        fields["outcome"] = report.outcome
    if report.failure:
        fields["reason"] = report.failure
    serious = report.outcome in ("broken-off", "crashed") or exchange.status >= 500
    log = logger("apprproxy")
    (log.warning if serious else log.info)("request", **fields)
