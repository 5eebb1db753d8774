"""Connections are served as long as there are descriptors for them, and what fails by the thousand is told once."""

import asyncio
import errno
import os
import resource

import pytest

from apprproxy.face.descriptors import EACH, OUR_OWN, TRANSFER, fitting, raise_limit
from apprproxy.listening import AcceptFailures
from apprproxy.ops.journal import Journal
from tests.fakes.fixtures import Logged


@pytest.mark.parametrize("files", [10, 256, 1024, 4096, 1 << 20])
@pytest.mark.parametrize("transfers", [0, 32, 2000])
def test_no_more_connections_than_there_are_files_for(files: int, transfers: int) -> None:
    connections = fitting(4096, files, transfers)

    assert 1 <= connections <= 4096
    assert connections * EACH <= files - min(OUR_OWN + TRANSFER * transfers, files // 2)


def test_what_is_configured_is_not_exceeded() -> None:
    assert 100 == fitting(100, 1 << 20, 32)


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        raised = raise_limit()
        now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert raised == now
    assert hard in (now, resource.RLIM_INFINITY)


async def test_a_failure_to_accept_is_one_line_and_any_other_is_told_in_full(logged: Logged) -> None:
    loop, handler = asyncio.get_running_loop(), AcceptFailures(Journal())
    error = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    for _ in range(1000):
        handler(loop, {"message": "socket.accept() out of system resource", "exception": error, "socket": object()})
    once = len(logged.text.splitlines())
    handler(loop, {"message": "Task exception was never retrieved", "exception": ValueError("defect")})

    assert 1 == once
    assert "Traceback" not in logged.text.splitlines()[0]
    assert "defect" in logged.text
