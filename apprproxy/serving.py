"""A built App on its sockets, until it is told to stop; then what is running is finished, within a bound."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from apprproxy import __version__
from apprproxy.app import App, lifetime, limits_of, server_tls
from apprproxy.core.errors import StoreFailed
from apprproxy.face.descriptors import fitting, raise_limit
from apprproxy.face.handshakes import Handshakes
from apprproxy.face.server import Limits, Server
from apprproxy.lateness import Lateness
from apprproxy.listening import AcceptFailures, listen, written
from apprproxy.minding import Minding, begun
from apprproxy.ops.logs import logger
from apprproxy.settings import Settings
from apprproxy.store.directory.runs import Run
from apprproxy.upkeep.carried import lacking
from apprproxy.upkeep.recovery import recover

GRACE = 30.0
"""Seconds that running transfers are given on SIGTERM."""

OPERATORS = 64
"""Connections to their own address, so that it has some whoever else comes."""

TURN = 0.0005
"""Seconds that a thread which computes keeps another waiting. With the 5 ms of the interpreter each call to the disk
takes as long, and a cold name makes some dozen: beside a few long documents of one upstream, all others' took 10 s."""

Listening = Callable[[list[str]], None]
Ports = list[tuple[asyncio.Server, Server]]


async def serve(
    app: App, *, stop: asyncio.Event | None = None, listening: Listening | None = None, grace: float = GRACE
) -> None:
    """Until SIGTERM, SIGINT or ``stop``; SIGHUP is a terminal's end, or asks a daemon to reload.

    ``listening`` is told the URLs. Closes the app; raises CannotListen.
    """
    sys.setswitchinterval(TURN)
    stop = stop or asyncio.Event()
    signals = _heeded(stop)
    log = logger("apprproxy")
    asyncio.get_running_loop().set_exception_handler(AcceptFailures(app.observer))
    settings = app.settings.server
    ports: Ports = []
    recovering = asyncio.create_task(_recovered(app), name="recovery")
    certificate = lifetime(settings.tls)
    if certificate is not None:
        app.metrics.certificate_ends(certificate.ends)
    run = await asyncio.to_thread(_begun, app)
    minding, lateness = Minding(run, certificate, app.journal.remind), Lateness(app.metrics.late)
    try:
        if app.settings.offline:  # nobody can be asked for what is not known yet
            await _first(recovering, stop)
        urls = await _opened(app, ports)
        log.info(
            "serving",
            version=__version__,
            pid=os.getpid(),
            urls=urls,
            upstreams=list(app.settings.upstreams),
            directory=str(app.settings.cache.directory.absolute()),
            offline=app.settings.offline,
        )
        if listening is not None:
            listening(urls)
        await stop.wait()
        log.info("stopping", grace_seconds=grace, **({"signal": signals[0].name} if signals else {}))
        app.journal.end()
    finally:
        await _finish(app, ports, grace)
        recovering.cancel()
        await asyncio.wait([recovering])
        await app.close()
        await minding.close()
        await lateness.close()
        if stop.is_set():
            _stopped(app)


def _heeded(stop: asyncio.Event) -> list[signal.Signals]:
    """By which it was stopped, as they come."""
    signals, loop = list[signal.Signals](), asyncio.get_running_loop()

    def stopped_by(number: signal.Signals) -> None:
        signals.append(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped_by, number)
    if sys.stderr.isatty():
        loop.add_signal_handler(signal.SIGHUP, stopped_by, signal.SIGHUP)
    else:
        loop.add_signal_handler(signal.SIGHUP, _not_reloaded)
    return signals


def _begun(app: App) -> Run | None:
    """Blocking."""
    with suppress(StoreFailed, OSError):  # it is told of by whoever asks for something
        for reason in lacking(app.settings, app.ledger, app.names):
            logger("apprproxy").warning(
                "the cache is not complete",
                reason=reason,
                hint="if it was carried here, carry it again as a whole",
            )
    return begun(app.settings.cache.directory.absolute(), app.settings.cache.max_size)


def _stopped(app: App) -> None:
    app.journal.end()  # of what happened since, for pulls had gone on
    logger("apprproxy").info("stopped", **({"broken_off": app.door.cut} if app.door.cut else {}))


def _not_reloaded() -> None:
    logger("apprproxy").warning(
        "nothing is reloaded at SIGHUP, and it goes on: passwords and lock files are read again by themselves,"
        " all else at a restart"
    )


async def _opened(app: App, ports: Ports) -> list[str]:
    """The URLs. Each of the ``ports`` is among them as soon as it listens: the next one may raise CannotListen."""
    settings = app.settings.server
    tls = server_tls(settings.tls)
    limits = _affordable(app.settings)
    doors = [(address, app.door, limits, "listen") for address in settings.addresses]
    if settings.ops is not None:
        few = replace(limits, connections=min(OPERATORS, limits.connections))
        doors.append((settings.ops, app.ops_door, few, "ops"))
    for address, door, bounds, key in doors:
        handler = Server(door, bounds, app.observer)
        factory = Handshakes(handler, tls, bounds) if tls is not None else handler
        ports.append((await listen(address, factory, key), handler))
    scheme = "https" if tls else "http"
    return [f"{scheme}://{written(port)}" for port, _ in ports]


def _affordable(settings: Settings) -> Limits:
    """For each address. The more upstreams there are, the more files are left to transfers."""
    limits, files = limits_of(settings), raise_limit()
    upstreams, addresses = settings.upstreams.values(), len(settings.server.addresses)
    transfers = sum(upstream.connections for upstream in upstreams)
    fit = max(1, fitting(limits.connections * addresses, files, transfers) // addresses)
    if fit < limits.connections:
        logger("apprproxy").warning(
            "fewer connections are served than server.limits.connections says: this process may not open more files"
            " (ulimit -n, LimitNOFILE)",
            configured=limits.connections,
            connections=fit,
            files=files,
        )
    return replace(limits, connections=fit)


async def _first(task: asyncio.Task[None], stop: asyncio.Event) -> None:
    """Until the task is done, or whoever runs this wants it to stop."""
    stopped = asyncio.create_task(stop.wait(), name="stop")
    await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()


async def _recovered(app: App) -> None:
    """A gateway serves without it: it asks owners more often, and offline has less to show."""
    try:
        await recover(app)
    except Exception:  # the top of a task
        logger("apprproxy").exception("who may see what is held could not be recovered")


async def _finish(app: App, ports: Ports, grace: float) -> None:
    """The library waits for a running request, and once more as long after it has told it that nothing is read any
    more. Writes go on without their clients."""
    now = asyncio.get_running_loop().time
    until = now() + grace
    for port, _ in ports:
        port.close()
    await asyncio.sleep(0)
    for _, handler in ports:
        handler.pre_shutdown()
    await asyncio.gather(*(handler.shutdown(grace / 2) for _, handler in ports))
    await app.gateway.finish_writes(max(0.0, until - now()))
