"""What documents name is written down anew, with no more memory than what is held takes."""

import json
import tracemalloc
from pathlib import Path

from apprproxy.app.linked import linked
from apprproxy.core.digest import Digest
from apprproxy.core.model import Expected
from apprproxy.core.ports.store import Held
from apprproxy.oci.manifest import children
from apprproxy.store.blobs.held import MemoryHeld
from tests.store.ledgers import Cache, digest_of


def naming(digests: list[Digest]) -> bytes:
    return json.dumps({"manifests": [{"digest": str(digest)} for digest in digests]}).encode()


def test_what_several_documents_name_is_told_once(tmp_path: Path) -> None:
    layer = b"layer"
    image = naming([Digest.of(layer)])
    above = naming([Digest.of(image)])
    index = naming([Digest.of(image), Digest.of(above)])
    there = {Digest.of(held): MemoryHeld(held, Digest.of(held)) for held in (layer, image, above, index)}
    cache = Cache(tmp_path, cap=10**9)
    below = linked(lambda one: there.get(one.digest), cache.ledger.membership, children, Expected(Digest.of(index)))
    found = [str(expected.digest) for expected, _ in below]
    cache.ledger.close()

    assert sorted(found) == sorted(map(str, there))


def test_what_is_named_and_not_held_takes_no_memory(tmp_path: Path) -> None:
    """After the loss of the index an upstream's documents of ten thousand digests each took gigabytes."""
    long = [naming([digest_of(f"{document} {number}") for number in range(1000)]) for document in range(30)]
    index = naming([Digest.of(document) for document in long])
    there = {Digest.of(document): MemoryHeld(document, Digest.of(document)) for document in (index, *long)}

    def find(expected: Expected) -> Held | None:
        return there.get(expected.digest)

    cache = Cache(tmp_path, cap=10**9)
    tracemalloc.start()
    below = linked(find, cache.ledger.membership, children, Expected(Digest.of(index)))
    found = [str(expected.digest) for expected, _ in below]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    cache.ledger.close()

    assert sorted(found) == sorted(map(str, there))
    assert peak < 3_000_000  # five and a half, when each digest was remembered
