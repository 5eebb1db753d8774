"""A process that has imported the program, and makes each command of it a fork of itself.

To import it takes half a second of a processor, which hundreds of commands need not pay each. What begins with a
process (closed streams, an odd locale, a folder that has gone) is tried with genuine ones.
"""

import gc
import os
import runpy
import signal
import socket
import sys
import time

import orjson

MOST = 1 << 17
"""Bytes of a request."""


def main(listening: socket.socket) -> None:
    gc.disable()
    import apprproxy.cli  # noqa: F401 — before the first is asked for

    gc.freeze()
    gc.enable()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who waits for a command is waited for by nobody
    while True:
        request, streams, _, _ = socket.recv_fds(listening, MOST, 4)
        if not request:
            return
        if not os.fork():
            break
        for one in streams:
            os.close(one)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    answer = streams.pop()
    child = os.fork()
    if child:
        os.write(answer, b"%d\n" % child)
        os.write(answer, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    _become(streams, **orjson.loads(request))


def _become(streams: list[int], words: list[str], cwd: str, env: dict[str, str]) -> None:
    for number, one in enumerate(streams):
        os.dup2(one, number)
    os.closerange(3, 1024)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.stdin, sys.stdout, sys.stderr = (
        open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
        for number, mode in enumerate(("r", "w", "w"))
    )
    sys.argv[1:] = words
    runpy.run_module("apprproxy", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv.pop())))
