"""A list that is wrong costs no more than one that is right."""

import tracemalloc
from collections.abc import Callable

import pytest

from apprproxy.appregistry.shapes import NotTheShape, check_channels, check_packages, read_manifests
from apprproxy.core.model import MIB

MANY = 100_000


@pytest.mark.parametrize("read", [check_packages, check_channels, read_manifests])
@pytest.mark.parametrize("element", [b"0", b'{"a":0}', b'{"name":0}'])
def test_the_first_fault_of_a_list_is_told_and_the_others_are_not_gathered(
    read: Callable[[bytes], object], element: bytes
) -> None:
    document = b"[" + b",".join([element] * MANY) + b"]"
    tracemalloc.start()
    try:
        with pytest.raises(NotTheShape, match=r"^0"):
            read(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 96 * MIB > peak


def test_the_faults_of_one_packages_releases_are_not_gathered_either() -> None:
    document = b'[{"name":"a","releases":[' + b",".join([b"0"] * MANY) + b"]}]"
    tracemalloc.start()
    try:
        with pytest.raises(NotTheShape, match=r"0\.releases\.0"):
            check_packages(document)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 16 * MIB > peak
