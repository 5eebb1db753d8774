"""How laws are tried: without a time limit of their own, since a busy machine is no defect."""

from hypothesis import settings

law = settings(deadline=None, max_examples=60)
