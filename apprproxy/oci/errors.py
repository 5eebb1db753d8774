"""A failure in the words of OCI distribution (specification, "Error codes"). Pure."""

import orjson

from apprproxy.core.errors import Failure, Malformed, UnknownPlace
from apprproxy.core.kind import Kind
from apprproxy.face.status import status_of

_UNKNOWN = {
    Kind.BLOB: "BLOB_UNKNOWN",
    Kind.PRESENCE: "BLOB_UNKNOWN",
    Kind.MANIFEST: "MANIFEST_UNKNOWN",
    Kind.TAG: "MANIFEST_UNKNOWN",
}


def error_body(failure: Failure, kind: Kind | None) -> bytes:
    error = {"code": _code(failure, kind), "message": str(failure), "detail": None}
    return orjson.dumps({"errors": [error]})


def _code(failure: Failure, kind: Kind | None) -> str:
    if isinstance(failure, Malformed):
        return failure.code
    if isinstance(failure, UnknownPlace):
        return "NAME_UNKNOWN"
    match status_of(failure):
        case 404:
            return _UNKNOWN.get(kind, "NAME_UNKNOWN") if kind else "NAME_UNKNOWN"
        case 403:
            return "DENIED"
        case 405:
            return "UNSUPPORTED"
        case 502 | 503 | 504:
            return "UNAVAILABLE"
        case _:
            return "UNKNOWN"
