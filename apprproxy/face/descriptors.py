"""As many connections as there are descriptors for: one that no descriptor is left for keeps everybody out.

A client that is sent a held blob costs two, its connection's and the file's.
"""

import resource

EACH = 2
OUR_OWN = 128
"""Databases, the log, what listens, operators' pages, names being resolved."""
TRANSFER = 3
"""A connection to an upstream, the file that grows, and whoever reads along."""
_UNLIMITED = 1 << 20
"""What is asked for where there is no limit: some systems take no more."""


def raise_limit() -> int:
    """As many open files as this process may have; returns how many those are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, _UNLIMITED)
    if soft not in (wanted, resource.RLIM_INFINITY):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # a sandbox that allows less than it says
            wanted = soft
    return wanted


def fitting(connections: int, files: int, transfers: int) -> int:
    """So many connections, or as many as fit beside so many transfers; those get no more than half of the files."""
    reserve = min(OUR_OWN + TRANSFER * transfers, files // 2)
    return max(1, min(connections, (files - reserve) // EACH))
