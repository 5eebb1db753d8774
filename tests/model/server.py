"""One ``apprproxy serve`` process on a cache directory: pulled from, killed, and started again."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.fakes.clock import until
from tests.model.nursery import Nursery, alive
from tests.peers.process import free_port

Answer = tuple[int, bytes]
BROKEN: Answer = (0, b"")
"""No answer, or one that was broken off before its end."""


class Server:
    """``begin`` it, and ``end`` it."""

    def __init__(self, nursery: Nursery, folder: Path, name: str, settings: dict[str, Any]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._nursery = nursery
        self._config = folder / f"{name}.yaml"
        self._config.write_text(yaml.safe_dump({"server": {"listen": f"127.0.0.1:{port}"}, **settings}))
        self._pid = 0

    @property
    def log(self) -> str:
        return self._config.with_name(f"{self._config.name}.log").read_text()

    async def begin(self) -> None:
        self._pid = self._nursery.start(self._config)
        while (await self.pull("/readyz"))[0] != 200:
            assert alive(self._pid), self.log
            await asyncio.sleep(0.01)

    def resident(self) -> int:
        """Bytes of memory."""
        status = Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def end(self) -> None:
        if self._pid:
            await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        pid, self._pid = self._pid, 0
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        try:
            await until(lambda: not alive(pid))
        except TimeoutError:
            raise AssertionError(f"a server did not end on {number.name}:\n{self.log}") from None

    async def pull(self, path: str, span: str = "", method: str = "GET") -> Answer:
        """Status and body, complete as far as the length tells."""
        headers = {"Range": span} if span else {}
        timeout = aiohttp.ClientTimeout(total=30)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, self.url + path, headers=headers) as answer,
            ):
                return answer.status, await answer.read()
        except aiohttp.ClientError:
            return BROKEN
