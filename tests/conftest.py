"""How laws are tried, before any module makes its own settings; and what is begun first.

The same examples every time, so that a change fails for what it does: `make explore` looks for new ones. No time limit
for an example: a busy machine is no defect.
"""

import os

import pytest
from hypothesis import settings

settings.register_profile("settled", deadline=None, derandomize=True, database=None)
settings.register_profile("exploring", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "settled"))

_TAKE_LONG = {"peers", "night", "model", "demo", "cli"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begun last, one of these would keep one worker busy long after the others."""
    items.sort(key=lambda item: item.path.parent.name not in _TAKE_LONG)
