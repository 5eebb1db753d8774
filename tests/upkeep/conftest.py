"""Fixtures by name."""

from tests.fakes.fixtures import clock as clock
from tests.fakes.fixtures import gateways as gateways
from tests.fakes.fixtures import logged as logged
from tests.fakes.fixtures import other as other
from tests.fakes.fixtures import registry as registry
