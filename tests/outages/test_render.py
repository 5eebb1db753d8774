"""The document says what the table says, and the table says everything."""

from tests.outages.render import DOCUMENT, rendered
from tests.outages.table import OUTCOMES, TABLE, State, Thing, cells


def test_the_committed_document_is_the_rendered_table() -> None:
    assert rendered() == DOCUMENT.read_text(encoding="utf-8")


def test_every_outcome_is_explained_and_every_explanation_is_used() -> None:
    used = {row.expected(state, thing).word for row, state, thing in cells()}

    assert {outcome.word for outcome in OUTCOMES} == used


def test_what_is_not_held_has_no_exceptions() -> None:
    """The document has one column for what is not held and what is too old: exceptions are of what is too old."""
    states = {state for row in TABLE for state, _ in row.but}

    assert states <= {State.EXPIRED, State.BEYOND}


def test_a_blob_has_no_exceptions() -> None:
    assert Thing.BLOB not in {thing for row in TABLE for _, thing in row.but}
