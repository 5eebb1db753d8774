"""How laws are tried, before any module makes its own settings.

The same examples every time, so that a change fails for what it does: `make explore` looks for new ones. No time limit
for an example: a busy machine is no defect.
"""

import os

from hypothesis import settings

settings.register_profile("settled", deadline=None, derandomize=True, database=None)
settings.register_profile("exploring", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "settled"))
