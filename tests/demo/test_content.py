"""What the embedded upstreams hold is the same every time, and well formed; the mirror changes one bit of it."""

import gzip
import io
import tarfile

import aiohttp

from apprproxy.demo.charts import chart
from apprproxy.demo.commands import proxy_stands_between
from apprproxy.demo.embedded import HUB, running
from apprproxy.demo.images import lies, repositories
from apprproxy.demo.packages import packages
from apprproxy.demo.registry import altered


def test_it_is_the_same_bytes_every_time() -> None:
    assert repositories() == repositories()
    assert packages() == packages()


def test_a_chart_is_below_one_folder_and_has_no_times() -> None:
    packed = chart("demo", "0.1.0").packed
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(packed))) as tar:
        members = tar.getmembers()

    assert bytes(4) == packed[4:8], "the time in the gzip header"
    assert {0} == {member.mtime for member in members}
    assert {"demo"} == {member.name.partition("/")[0] for member in members}


def test_a_lie_is_as_long_as_the_truth_and_one_bit_away() -> None:
    truth = b"some bytes"
    lie = altered(truth)

    assert len(truth) == len(lie)
    assert 1 == sum((ours ^ theirs).bit_count() for ours, theirs in zip(truth, lie, strict=True))


def test_the_mirror_lies_about_nothing_that_is_pulled_from_the_registry() -> None:
    held = repositories()
    pulled = [held["charts/demo"], held["images/tool"]]

    assert not lies(held) & {digest for one in pulled for digest in (*one.blobs, *one.manifests)}


async def test_an_upstream_is_back_at_its_address_after_a_stop() -> None:
    async with running() as upstreams, aiohttp.ClientSession() as session:
        ping = f"{upstreams.servers[HUB].url}/v2/"
        await upstreams.stop()
        try:
            await session.get(ping)
        except aiohttp.ClientConnectorError:
            stopped = True
        else:
            stopped = False
        await upstreams.start()
        async with session.get(ping) as response:
            status = response.status

    assert stopped
    assert status == 200


def test_a_proxy_that_would_be_asked_for_loopback_is_noticed() -> None:
    assert not proxy_stands_between({})
    assert not proxy_stands_between({"https_proxy": "http://proxy:3128"})
    assert proxy_stands_between({"HTTP_PROXY": "http://proxy:3128"})
    assert proxy_stands_between({"all_proxy": "http://proxy:3128", "no_proxy": "localhost"})
    assert not proxy_stands_between({"http_proxy": "http://proxy:3128", "no_proxy": "localhost, 127.0.0.1"})
