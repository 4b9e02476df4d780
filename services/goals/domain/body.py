"""A governance body: who meets at a level, how often, and what it may decide."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal, assert_never

from dateutil.rrule import rrulestr
from pydantic import BaseModel, ConfigDict

from shared.errors import CONFLICT, FORBIDDEN, invalid
from shared.events import Payload, event
from shared.periods import add_months

Level = Literal["steering", "operating", "execution"]
Side = Literal["own", "vendor", "partner"]
Role = Literal[
    "sponsor", "business_owner", "technical_account_manager", "value_consultant", "project_lead",
    "user", "other",
]  # fmt: skip
Decision = Literal["commit", "amend", "abandon", "correct"]
# From the level that decides most down.
LEVELS: tuple[Level, ...] = ("steering", "operating", "execution")
_DAY = r"(MO|TU|WE|TH|FR|SA|SU)"
_NTH_DAY = rf"(-?[1-4])?{_DAY}"
_MONTH = r"([1-9]|1[0-2])"
_MONTH_DAY = r"(-1|[1-9]|1\d|2\d|3[01])"
_STEP = r"(;INTERVAL=[1-9]\d?)?"
_MONTHS = rf"(;BYMONTH={_MONTH}(,{_MONTH}){{0,11}})?"
CADENCE = (
    rf"^(FREQ=DAILY{_STEP}"
    rf"|FREQ=WEEKLY{_STEP}(;BYDAY={_DAY}(,{_DAY}){{0,6}})?"
    rf"|FREQ=(MONTHLY|YEARLY){_STEP}{_MONTHS}"
    rf"(;BYDAY={_NTH_DAY}|;BYMONTHDAY={_MONTH_DAY})?)$"
)
# A body that does not meet within so many years does not meet.
_LONGEST = timedelta(days=10 * 366)


class Member(BaseModel):
    """A person in a body, from a day until a day (None: still)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    person: str
    side: Side
    role: Role
    since: date
    until: date | None = None

    def sits_on(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day < self.until)


@event("body.formed")
class BodyFormed(Payload):
    """A body was formed."""

    body_id: str
    initiative_id: str
    level: Level
    name: str
    cadence: str
    first_meeting: date
    members: list[Member]
    authority: str | None = None


@event("body.member_joined")
class MemberJoined(Payload):
    """Somebody joined a body."""

    member: Member
    authority: str | None = None


@event("body.member_left")
class MemberLeft(Payload):
    """Somebody left a body."""

    person: str
    until: date
    reason: str
    authority: str | None = None


BodyEvent = BodyFormed | MemberJoined | MemberLeft


class Body(BaseModel):
    """A body as its events have left it."""

    model_config = ConfigDict(frozen=True)
    record_id: str
    initiative_id: str
    revision: int
    level: Level
    name: str
    cadence: str
    first_meeting: date
    members: list[Member]

    def members_on(self, day: date) -> list[Member]:
        return [member for member in self.members if member.sits_on(day)]


def evolve(state: Body | None, fact: BodyEvent) -> Body:
    """The body after one more event."""
    if isinstance(fact, BodyFormed):
        told = fact.model_dump(exclude={"body_id", "authority"})
        return Body(record_id=fact.body_id, revision=1, **told)
    assert state is not None, "a body is formed first"
    match fact:
        case MemberJoined():
            members = [*state.members, fact.member]
        case MemberLeft():
            members = [
                member.model_copy(update={"until": fact.until})
                if member.person == fact.person and member.until is None
                else member
                for member in state.members
            ]
        case _:
            assert_never(fact)
    return state.model_copy(update={"revision": state.revision + 1, "members": members})


def join(state: Body, member: Member, authority: str | None = None) -> MemberJoined:
    """Let somebody join who is no member yet."""
    if any(m.person == member.person and m.until is None for m in state.members):
        raise CONFLICT.refusal(f"{member.person} is a member of {state.name!r} already.")
    return MemberJoined(member=member, authority=authority)


def leave(
    state: Body, person: str, until: date, reason: str, authority: str | None = None
) -> MemberLeft:
    """Let a member leave."""
    present = next((m for m in state.members if m.person == person and m.until is None), None)
    if present is None:
        raise CONFLICT.refusal(f"{person} is no member of {state.name!r}.")
    if until < present.since:
        raise CONFLICT.refusal(f"{person} joined on {present.since}, and can't leave before that.")
    return MemberLeft(person=person, until=until, reason=reason, authority=authority)


def next_meeting(body: Body, held: Iterable[date]) -> date:
    """The day by which a body meets again: one step of its cadence after its last meeting."""
    last = max(held, default=None)
    if last is None:
        return body.first_meeting
    parts = dict(part.split("=") for part in body.cadence.split(";"))
    if "BY" in body.cadence:
        return _by_rule(body.cadence, last) or last + _LONGEST
    count = int(parts.get("INTERVAL", 1))
    match parts["FREQ"]:
        case "DAILY":
            return last + timedelta(days=count)
        case "WEEKLY":
            return last + timedelta(weeks=count)
        case "MONTHLY":
            return add_months(last, count)
        case _:
            return add_months(last, 12 * count)


def demand_cadence(cadence: str, first_meeting: date) -> None:
    """Refuse a rule by which a body never meets."""
    if "BY" in cadence and _by_rule(cadence, first_meeting) is None:
        raise invalid("/cadence", "By this rule the body would never meet.", "cadence")


def _by_rule(cadence: str, last: date) -> date | None:
    """The first day after the last meeting that a rule with BY... parts names."""
    start = datetime.combine(last, time())
    until = f"{start + _LONGEST:%Y%m%dT%H%M%S}"
    found = rrulestr(f"{cadence};UNTIL={until}", dtstart=start).after(start)
    return found.date() if found is not None else None


def needed_level(decision: Decision, priority: str) -> Level:
    """Who decides: steering about must-goals, operating about others and about corrections."""
    if decision == "correct":
        return "operating"
    return "steering" if priority == "must" else "operating"


def demand_right(
    bodies: Sequence[Body], person: str | None, decision: Decision, priority: str, day: date,
    within: Body | None = None,
) -> str | None:  # fmt: skip
    """In whose name somebody decides; None where the initiative has no bodies and anyone may.

    A body may decide what a body below it may. Where the level that is asked for has no body, the
    highest there is decides. Refuses with 403 who is no member of such a body on that day; what is
    decided `within` a body's meeting must be that body's to decide.
    """
    if not bodies:
        return None
    wanted = LEVELS.index(needed_level(decision, priority))
    able = [body for body in bodies if LEVELS.index(body.level) <= wanted]
    if not able:
        highest = min(LEVELS.index(body.level) for body in bodies)
        able = [body for body in bodies if LEVELS.index(body.level) == highest]
    for body in able:
        if within is not None and body.record_id != within.record_id:
            continue
        for member in body.members_on(day):
            if member.person == person:
                return f"{body.name}: {person} ({member.role})"
    names = ", ".join(repr(body.name) for body in able)
    raise FORBIDDEN.refusal(
        f"To {decision} a {priority}-goal is decided by {names}; "
        f"{person or 'a key without a person'} is no member there. An admin may act with "
        "`acting_reason`."
    )
