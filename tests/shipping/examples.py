"""A configuration that is shipped as an example, run as it stands: only where things are is replaced."""

import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
from yarl import URL

from tests.fakes.command import ROOT, run
from tests.fakes.content import digest
from tests.peers.process import Process, free_port

EXAMPLES = ROOT / "config" / "examples"


@dataclass(frozen=True, slots=True)
class Got:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Example(Process):
    """``urls`` are those of the file and what stands in for each; its folders below ``/etc``, ``/run`` and ``/var`` are
    below ``folder``."""

    def __init__(self, name: str, folder: Path, urls: Mapping[str, str], **environment: str) -> None:
        port = free_port()
        config = folder / name
        config.write_text(_placed((EXAMPLES / name).read_text(), folder, urls))
        self.cache = folder / "var/lib/apprproxy"
        self.cache.mkdir(parents=True, exist_ok=True)
        self._variables = {"APPRPROXY_SERVER__LISTEN": f"127.0.0.1:{port}", **environment}
        command = [sys.executable, "-m", "apprproxy", "serve", "--config", str(config)]
        self._config = config
        super().__init__(command, folder, port, "/readyz", self._variables)

    def _cwd(self) -> Path:
        return ROOT

    def command(self, *words: str) -> str:
        """What `apprproxy WORDS --config FILE` prints, which must succeed, with the variables of its gateway."""
        ran = run(*words, "--config", str(self._config), environment=self._variables)
        assert 0 == ran.returncode, ran.stdout + ran.stderr
        return ran.stdout

    async def get(self, path: str, host: str = "") -> Got:
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(URL(self.url + path, encoded=True), headers={"Host": host} if host else {}) as answer,
        ):
            return Got(answer.status, answer.headers.copy(), await answer.read())

    async def pull(self, prefix: str, repository: str, tag: str, ns: str = "", host: str = "") -> list[bytes]:
        """As an OCI client does: the tag, and by digest all that its manifest names. The layers."""
        query = f"?ns={ns}" if ns else ""
        base = f"/v2/{prefix}{repository}"
        manifest = await self.get(f"{base}/manifests/{tag}{query}", host)
        assert 200 == manifest.status, manifest.body
        document = orjson.loads(manifest.body)
        blobs = []
        for wanted in (one["digest"] for one in (document["config"], *document["layers"])):
            blob = await self.get(f"{base}/blobs/{wanted}{query}", host)
            assert (200, wanted) == (blob.status, digest(blob.body)), blob.body[:200]
            blobs.append(blob.body)
        return blobs[1:]


@asynccontextmanager
async def running(example: Example) -> AsyncIterator[Example]:
    with example:
        yield example


def _placed(text: str, folder: Path, urls: Mapping[str, str]) -> str:
    """Every URL of an upstream or mirror must have a stand-in: no test may ask the outside world."""
    written = re.findall(r"^[ -]*url: (\S+)$", text, flags=re.MULTILINE)
    assert sorted(urls) == sorted(written)
    for url, stand_in in urls.items():
        text = re.sub(rf"(url: ){re.escape(url)}$", rf"\g<1>{stand_in}", text, flags=re.MULTILINE)
    return re.sub(r"(?<=: )/(?=(etc|run|var)/)", f"{folder}/", text)
