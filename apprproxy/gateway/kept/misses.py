"""What a source could not give is remembered for ``missing_for``: an authoritative *no*, and bytes that were a lie.

A fleet that retries must not turn one missing tag, or one spoilt blob, into a load test of the upstream. Outages are
not remembered here: they pass, and somebody must look whether they have.
"""

import json

from apprproxy.core.digest import Digest
from apprproxy.core.errors import DigestMismatch, NotThere, UpstreamFault
from apprproxy.core.model import Clock
from apprproxy.core.ports.store import Brief, Names
from apprproxy.gateway.kept.fresh import AGAIN_AFTER
from apprproxy.gateway.members.member import Member


class Misses:
    """A miss of before a write that passed through the gateway is no longer one."""

    def __init__(self, brief: Brief, names: Names, now: Clock) -> None:
        self._brief = brief
        self._names = names
        self._now = now

    def generation(self, member: Member) -> int:
        return self._names.generation(member.name)

    async def note(self, member: Member, key: str, fault: UpstreamFault, as_of: int) -> None:
        """``key`` tells what was asked for, and where; ``as_of`` is the generation in which it was asked.

        Anything but a *no* or a lie is not kept.
        """
        facts: dict[str, object] = {"said": self._now(), "sentence": fault.sentence, "status": fault.status}
        match fault:
            case NotThere(answer=answer):
                facts |= {"kind": "no", "answer": answer}
            case DigestMismatch(expected=expected, got=got):
                facts |= {"kind": "lie", "expected": str(expected), "got": str(got)}
            case _:
                return
        await self._brief.set(_key(as_of, member, key), json.dumps(facts), member.terms.missing_for)

    async def recall(self, member: Member, key: str, *, again: bool = False) -> UpstreamFault | None:
        """``again`` asks anew, though not more often than once in ``AGAIN_AFTER``."""
        text = await self._brief.get(_key(self.generation(member), member, key))
        if text is None:
            return None
        facts = json.loads(text)
        if again and abs(self._now() - facts["said"]) >= AGAIN_AFTER:
            return None
        if facts["kind"] == "lie":
            return DigestMismatch(member.name, Digest.parse(facts["expected"]), Digest.parse(facts["got"]))
        return NotThere(member.name, facts["sentence"], facts["status"], facts["answer"], remembered=True)


def _key(generation: int, member: Member, key: str) -> str:
    return f"miss {generation} {member.name} {key}"
