"""Tags, tag lists and the catalog of a registry that is not trusted for names: from its lock file."""

from collections.abc import Callable

import orjson

from apprproxy.core.digest import Digest
from apprproxy.core.errors import Denied
from apprproxy.core.kind import Kind
from apprproxy.core.lock import Lock, not_locked
from apprproxy.core.model import Descriptor, Found, NameWant
from apprproxy.oci.asking import JSON


class LockedTags:
    """Implements Locked. ``lock`` gives the file as it is now."""

    def __init__(self, upstream: str, lock: Callable[[], Lock]) -> None:
        self._upstream = upstream
        self._lock = lock

    def find(self, want: NameWant) -> Found:
        """Raises Denied."""
        match want.kind:
            case Kind.TAG:
                return self._tag(want)
            case Kind.TAGS:
                tags = sorted(self._tags(want.repository, ""))
                return _found(orjson.dumps({"name": want.repository, "tags": tags}))
            case Kind.CATALOG:
                return _found(orjson.dumps({"repositories": sorted(self._lock().tags)}))
            case _:
                raise Denied(
                    f"the {want.kind} of {self._upstream} are not served: upstreams.{self._upstream}.names is locked,"
                    " and what refers to something is a name that no lock file has"
                )

    def _tag(self, want: NameWant) -> Found:
        digest = self._tags(want.repository, want.name).get(want.name)
        if digest is None:
            raise not_locked(self._upstream, f"{want.repository}:{want.name}")
        return Found(Descriptor(digest, -1, ""), manifest=True)

    def _tags(self, repository: str, tag: str) -> dict[str, Digest]:
        tags = self._lock().tags.get(repository)
        if tags is None:
            raise not_locked(self._upstream, f"{repository}:{tag or 'TAG'}")
        return dict(tags)


def _found(body: bytes) -> Found:
    return Found(Descriptor(Digest.of(body), len(body), JSON), body)
