"""Files that others may have written: lock files, accounts, and what lies in a cache directory."""

import atexit
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from apprproxy.api.told import written as written_time
from apprproxy.appregistry.locked import LockedPackages
from apprproxy.appregistry.shapes import check_packages, read_manifest
from apprproxy.core.digest import Digest
from apprproxy.core.errors import ClientFault, StoreFailed
from apprproxy.core.kind import Kind
from apprproxy.core.listing import Facts, Listed
from apprproxy.core.lock import BadLock, Lock, parse, written
from apprproxy.core.model import Expected, NameWant, Place
from apprproxy.oci.locked import LockedTags
from apprproxy.search.corpus import Corpus
from apprproxy.search.listing import BadListing, Listing, dump, load
from apprproxy.settings.load import BadConfiguration
from apprproxy.settings.load import load as configuration
from apprproxy.settings.show import effective
from apprproxy.store.blobs.partial import read_sidecar
from apprproxy.store.directory.place import mounted_type
from apprproxy.store.names import lock_file
from apprproxy.store.names.record import read_first, read_record, write_first, write_record
from apprproxy.store.names.refusals import Refusals
from apprproxy.upstream.accounts import NoAccount, docker_account_of, from_file
from tests.fuzz.laws import text

_PLACE = Place("hub", ("hub",))
_HELD = Expected(Digest.of(b""))
_LATEST = 253_402_300_800
"""The year 10,000."""


@cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="apprproxy-fuzz-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _written(data: bytes) -> Path:
    path = _folder() / "file"
    path.write_bytes(data)
    return path


def lock(data: bytes) -> None:
    """What is read can be written, and read again it is the same."""
    try:
        read = lock_file.read(_written(data))
    except BadLock:
        return
    assert read == parse(written(read.names)) == Lock.of(read.names)
    assert len(read.names) == sum(map(len, read.tags.values())) + sum(map(len, read.releases.values()))
    _served(read)


def _served(read: Lock) -> None:
    """Each name that is locked is found, and what is not is refused."""
    tags, packages = LockedTags("hub", lambda: read), LockedPackages("hub", lambda: read)
    for repository, digests in read.tags.items():
        for tag, digest in digests.items():
            assert tags.find(NameWant(_PLACE, Kind.TAG, repository, tag)).target.digest == digest
    for package, releases in read.releases.items():
        for one in releases:
            found = packages.find(NameWant(_PLACE, Kind.RELEASE, package, f"{one.release}/{one.format}"))
            assert read_manifest(found.body or b"").digest == releases[one]
        with suppress(ClientFault):
            packages.find(NameWant(_PLACE, Kind.RELEASE, package, ">=1,<2/-"))
    assert tags.find(NameWant(_PLACE, Kind.CATALOG)).body
    check_packages(packages.find(NameWant(_PLACE, Kind.PACKAGES)).body or b"")


def records(data: bytes) -> None:
    path = _written(data)
    _record(data)
    _sidecar(path)
    _refusals(path)
    _listing(data)
    _account(path)
    mounted_type("/a", text(data))


def _record(data: bytes) -> None:
    if (record := read_record(data)) is not None:
        assert record == read_record(write_record(record))
        assert isinstance(record.target.size, int)
        assert record.checked < float("inf")
    with suppress(StoreFailed):
        first = read_first(data)
        assert first == read_first(write_first(first))
        written_time(first.at)


def _sidecar(path: Path) -> None:
    parts, size = read_sidecar(path, _HELD, {"hub": "hub-1"})
    assert size is None or isinstance(size, int)
    assert all(isinstance(part.start, int) for part in parts)


def _refusals(path: Path) -> None:
    refusals = Refusals(path, lambda: 0.0)
    for one in refusals.of("hub", ["library/app:1.0"]):
        assert written_time(one.at).endswith("Z")
    refusals.close()


def _listing(data: bytes) -> None:
    try:
        things, facts, document, checked = load(data, "stamp")
    except BadListing:
        return
    listing = Listing(Corpus(things), document=document, checked=checked)
    again = load(dump(listing, facts, "stamp"), "stamp")
    assert (sorted(listing.corpus.things, key=_name), facts, document, checked) == (
        sorted(again[0], key=_name),
        *again[1:],
    )
    assert all(isinstance(one, Facts) for one in facts.values())
    listing.corpus.find("app", 5)


def _name(thing: Listed) -> str:
    return thing.name


def _account(path: Path) -> None:
    with suppress(NoAccount):
        account = from_file(path, docker_account_of("hub.example"))()
        if account is not None:
            assert account.basic().isascii()
            assert account.password not in repr(account) or account.password in account.username or "*" in repr(account)


def settings(data: bytes) -> None:
    """What is in force can be printed, and read again it is in force; what is wrong is told by key."""
    path = _written(data)
    try:
        read = configuration(path, {})
    except BadConfiguration:
        return
    shown = effective(read)
    assert "********" in shown or shown == effective(configuration(_written(shown.encode()), {}))
