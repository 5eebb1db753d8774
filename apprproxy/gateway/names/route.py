"""Who is asked, in which order. Pure."""

from apprproxy.core.model import Place


def order(place: Place, remembered: str | None) -> tuple[str, ...]:
    """The members of a place; whoever had the thing before is asked first, if it is still a member."""
    if remembered is None or remembered not in place.members:
        return place.members
    return (remembered, *(name for name in place.members if name != remembered))
