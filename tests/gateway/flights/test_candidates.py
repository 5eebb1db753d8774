"""Whom a flight asks next: who is known to have the bytes, for whom somebody waits, and each upstream in its turn."""

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, NoRoom, Unreachable
from apprproxy.core.model import BlobWant, Expected, Place
from apprproxy.gateway.flights.candidates import ATTEMPTS, Candidate, Candidates
from apprproxy.gateway.members.member import Member
from tests.fakes.members import member_of

EXPECTED = Expected(Digest.of(b"content"))
HUB, FAR = member_of("hub", mirrors=[{"url": "http://127.0.0.1:10"}]), member_of("far")
BROKEN = Unreachable("hub", "broke off")


def asked(member: Member, repository: str = "library/app", source: int = -1) -> Candidate:
    want = BlobWant(Place(member.name, (member.name,)), repository, EXPECTED)
    return Candidate(member, member.sources[source], want)


def of(*candidates: Candidate) -> Candidates:
    """Somebody waits in the name of each."""
    found = Candidates()
    found.add(candidates)
    found.joined_by(candidates)
    return found


MIRROR, OWNER, ELSEWHERE = asked(HUB, source=0), asked(HUB), asked(FAR)


def test_a_repository_in_whose_name_somebody_waits_comes_before_others() -> None:
    made_up, wanted = asked(HUB, "made/up"), asked(HUB)
    candidates = Candidates()
    candidates.add([made_up, wanted])
    candidates.joined_by([wanted])
    before = candidates.next()
    candidates.left_by([wanted])

    assert (wanted, made_up) == (before, candidates.next())
    assert not candidates.wanted


def test_a_repository_that_is_known_to_have_it_comes_before_all_others() -> None:
    unknown, known = asked(HUB, "some/where"), asked(HUB)
    candidates = of(unknown)
    candidates.add([known])
    candidates.confirm([known])

    assert [known, unknown] == list(candidates.left)


def test_who_has_failed_is_not_asked_again_and_a_mirror_comes_before_its_owner() -> None:
    candidates = of(MIRROR, OWNER)
    first = candidates.next()
    candidates.fail(MIRROR, BROKEN)
    second = candidates.next()
    candidates.fail(OWNER, BROKEN)

    assert (MIRROR, OWNER, None) == (first, second, candidates.next())


def test_upstreams_take_turns() -> None:
    candidates = of(OWNER, ELSEWHERE)
    candidates.begins_turn("hub")
    first = candidates.next()
    candidates.yields("hub")
    second = candidates.next()
    candidates.begins_turn("far")
    candidates.yields("far")

    assert (OWNER, ELSEWHERE, OWNER) == (first, second, candidates.next())
    assert 2 == candidates.rounds
    assert not candidates.had_more_turns(OWNER, ELSEWHERE)


def test_whoever_joins_late_does_not_wait_for_the_rest_of_a_long_turn() -> None:
    candidates = of(OWNER, ELSEWHERE)
    for _ in range(5):
        candidates.yields("hub")
    candidates.add([asked(FAR, "another/repository")])

    assert 0 == candidates.rounds


def test_once_a_mirror_is_distrusted_owners_come_before_all_other_mirrors() -> None:
    two = member_of("hub", mirrors=[{"url": f"http://127.0.0.1:{port}"} for port in (10, 11)])
    liar, other, owner = (asked(two, source=number) for number in (0, 1, 2))
    candidates = of(liar, other, owner)
    candidates.distrust([liar.source], DigestMismatch("hub mirror-1", EXPECTED.digest, Digest.of(b"other")))

    assert [owner] == list(candidates.left)


def test_who_breaks_off_is_asked_for_the_rest_so_often_where_nobody_else_is_left() -> None:
    alone, beside = of(OWNER), of(MIRROR, OWNER)

    assert [True] * (ATTEMPTS - 1) + [False] == [alone.goes_on(OWNER) for _ in range(ATTEMPTS)]
    assert not beside.goes_on(MIRROR)


def test_one_for_whose_bytes_there_is_no_room_is_not_asked_and_none_once_all_have_had_a_turn() -> None:
    candidates = of(OWNER, ELSEWHERE)
    candidates.lacks_room("hub", NoRoom("full"))
    left = list(candidates.left)
    candidates.yields("far")

    assert ([ELSEWHERE], []) == (left, list(candidates.left))


def test_the_whole_is_asked_for_anew_once() -> None:
    candidates = of(OWNER)

    assert [True, False] == [candidates.may_begin_anew(OWNER) for _ in range(2)]


def test_for_what_cannot_be_kept_those_that_failed_come_last() -> None:
    candidates = of(MIRROR, OWNER, ELSEWHERE)
    candidates.fail(MIRROR, BROKEN)
    candidates.yields("hub")

    assert [ELSEWHERE, OWNER, MIRROR] == list(candidates.in_order([MIRROR, OWNER, ELSEWHERE]))
