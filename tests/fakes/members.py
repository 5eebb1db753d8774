"""Upstreams as the gateway deals with them, which nobody asks."""

from typing import Any

from apprproxy.app.members import World, member
from apprproxy.gateway.members.member import Member
from apprproxy.settings.upstream import Upstream
from apprproxy.store.names.brief import BriefMemory
from tests.fakes.clock import Clock
from tests.fakes.sources import recorder


def member_of(name: str, **keys: Any) -> Member:
    """``keys`` are those of its section of the configuration."""
    clock = Clock()
    settings = Upstream.model_validate({"kind": "oci", "url": "http://127.0.0.1:9", **keys})
    return member(name, settings, World({}, BriefMemory(clock), recorder([]), clock, ()))
