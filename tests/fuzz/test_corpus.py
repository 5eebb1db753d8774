"""Every input that was found worth keeping is tried again, the ones that once broke a law among them."""

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
INPUTS = [(folder.name, path) for folder in sorted(CORPUS.iterdir()) for path in sorted(folder.iterdir())]


@pytest.mark.parametrize(("target", "path"), INPUTS, ids=[f"{target}/{path.name}" for target, path in INPUTS])
def test_the_laws_hold_for_what_was_found(target: str, path: Path) -> None:
    TARGETS[target].run(path.read_bytes())


def test_every_target_has_a_corpus_and_every_corpus_a_target() -> None:
    assert set(TARGETS) == {target for target, _ in INPUTS} == {folder.name for folder in CORPUS.iterdir()}


def test_the_corpora_are_small() -> None:
    sizes = [path.stat().st_size for _, path in INPUTS]

    assert 4096 > max(sizes)
    assert 300 * 1024 > sum(sizes)
