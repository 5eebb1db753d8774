"""Where what is known and held is kept, as the use case sees it."""

from dataclasses import dataclass

from apprproxy.core.ports import BlobStore, Brief, Names
from apprproxy.gateway.misses import Misses
from apprproxy.gateway.pins import Pins


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where names are kept."""

    names: Names
    pins: Pins
    blobs: BlobStore
    brief: Brief
    misses: Misses
