"""Who is asked, in which order."""

from hypothesis import given
from hypothesis import strategies as st

from apprproxy.core.model import Place
from apprproxy.gateway.names.route import order

MEMBERS = st.lists(st.sampled_from("abcdef"), unique=True).map(tuple)


@given(MEMBERS, st.none() | st.sampled_from("abcdefg"))
def test_everybody_is_asked_once_and_the_owner_first(members: tuple[str, ...], owner: str | None) -> None:
    asked = order(Place("view", members), owner)
    others = [name for name in asked if name != owner]

    assert sorted(members) == sorted(asked)
    assert [name for name in members if name != owner] == others
    assert owner not in members or asked[0] == owner
