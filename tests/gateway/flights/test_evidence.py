"""What is held against a source is what it sent, and nothing that lay on the disk before."""

from pathlib import Path

from apprproxy.core.digest import Digest
from apprproxy.core.label import Label
from apprproxy.core.model import Expected
from apprproxy.gateway.flights.evidence import Sent, collected
from tests.fakes.content import some_bytes
from tests.store.contents import prepared

BLOB = some_bytes(3000)


async def test_each_ones_bytes_are_hashed_from_where_they_began_to_come(tmp_path: Path) -> None:
    partial = (await prepared(tmp_path).claim(Expected(Digest.of(BLOB)))).partial
    assert partial is not None
    for at, source in enumerate(("mirror-1", "mirror-2", "owner")):
        await partial.begins("hub", source, None)
        await partial.write(BLOB[at * 1000 : (at + 1) * 1000])
    await partial.begins("hub", "mirror-3", None)  # drains, and sends nothing
    evidence = await collected(partial, since=1500)
    await partial.leave(keep=False)

    assert evidence == {
        Label("hub", "mirror-2"): [Sent(1500, 2000, Digest.of(BLOB[1500:2000]))],
        Label("hub", "owner"): [Sent(2000, 3000, Digest.of(BLOB[2000:]))],
    }
