"""A failure in the words of App Registry: the owner's own, where it said no; else ours, in the flat form. Pure."""

import orjson

from apprproxy.core.errors import Exhausted, Failure, Moved
from apprproxy.face.status import no_of, status_of

_CODES = {
    400: "invalid-usage",
    403: "forbidden",
    404: "resource-not-found",
    405: "unsupported",
    409: "resource-in-use",
    508: "loop",
}


def error_body(failure: Failure) -> bytes:
    status = status_of(failure)
    no = no_of(failure)
    if no is not None and no.answer is not None and status == status_of(no):
        return no.answer.encode()
    details: dict[str, object] = {}
    code = _CODES.get(status, "upstream-failed" if status in (502, 503, 504) else "internal-error")
    if isinstance(failure, Moved):
        code = "RELEASE_MOVED"
        details = {"name": failure.move.name, "first": str(failure.move.first), "now": str(failure.move.now)}
    elif isinstance(failure, Exhausted):
        details = {"sources": [{"source": one.source, "reason": one.sentence} for one in failure.failures]}
    return orjson.dumps({"code": code, "message": str(failure), "details": details})
