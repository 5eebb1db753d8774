"""Fixtures by name."""

from pathlib import Path

import pytest

from tests.cli.operator import Operator
from tests.fakes.fixtures import clock as clock
from tests.fakes.fixtures import gateways as gateways
from tests.fakes.fixtures import other as other
from tests.fakes.fixtures import registry as registry


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    return Operator(tmp_path)
