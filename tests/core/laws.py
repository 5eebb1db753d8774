"""Laws that take a while to try, for each example of which there are documents to be written."""

import os

from hypothesis import settings

EXPLORING = os.environ.get("HYPOTHESIS_PROFILE") == "exploring"
law = settings(max_examples=1000 if EXPLORING else 60)
