"""Who of a place may be asked is decided before anything else."""

import pytest

from apprproxy.core.errors import Denied
from apprproxy.core.kind import Kind
from apprproxy.core.model import NameWant, Place
from apprproxy.gateway.gate import Gate
from tests.fakes.members import member_of


@pytest.mark.parametrize("kind", list(Kind))
def test_who_is_asked_for_no_name_is_asked_whether_it_has_bytes_of_whichever_kind(kind: Kind) -> None:
    """A question about bytes is none about a name."""
    gate = Gate(lambda name: member_of(name, names="refuse"))
    want = NameWant(Place("hub", ("hub",)), kind, "library/app", f"sha256:{'0' * 64}")
    if kind.by_digest:
        assert want == gate.for_name(want)
    else:
        with pytest.raises(Denied, match="names is refuse"):
            gate.for_name(want)
