"""Small histories from which each entry of the catalogue was worked out by hand."""

from __future__ import annotations

from typing import Any

from tests.support.samples import event

Json = dict[str, Any]
JAN, DEC = "2024-01-", "2023-12-"
CLOSED, OPENED = "crm.opportunity.closed", "crm.opportunity.opened"
STAGE, MOVED = "crm.opportunity.stage_changed", "crm.opportunity.changed"
REOPENED = "crm.opportunity.reopened"
_numbers = iter(range(10**9))


def ev(name: str, day: str, subject: str = "", **data: Any) -> Json:
    """An event on a day of January 2024 (`05`, `05T10:00`), or on any other date."""
    moment = day if len(day) > 8 else f"{JAN}{day}"
    if "T" in moment:
        moment += ":00Z"
    more = {"_subject": subject} if subject else {}
    return event(f"e{next(_numbers)}", name, moment, **more, **data)


def deal(day: str, subject: str, outcome: str = "won", **data: Any) -> Json:
    if "amount" in data:
        data["currency"] = "EUR"
    return ev(CLOSED, day, subject, outcome=outcome, **data)


def money(name: str, day: str, amount: int, subject: str = "", **data: Any) -> Json:
    return ev(name, day, subject, amount=amount, currency="EUR", **data)


def call(day: str, **data: Any) -> Json:
    return ev("contact.call.completed", day, abandoned=data.pop("abandoned", False), **data)


def survey(kind: str, *scores: int) -> list[Json]:
    return [ev("survey.response.received", "10", kind=kind, score=score) for score in scores]


def voice(day: str, **data: Any) -> Json:
    return ev("feedback.recorded", day, text="...", **data)


def figure(name: str, value: Any, day: str = "31") -> list[Json]:
    return [ev("metric.observed", day, figure=name, value=value)]


DEALS = [
    ev(OPENED, "01", "d/1"), deal("11", "d/1", amount=100, account="A", owner="ann", product="x"),
    ev(OPENED, "01", "d/2"), deal("21", "d/2", amount=300, account="B", owner="bo", type="upsell"),
    deal("21", "d/3", "lost", amount=100, reason="no_decision"),
    deal("22", "d/4", "lost", amount=500, reason="price"),
]  # fmt: skip
CALLS = [
    call("05", wait=10, talk=100, hold=10, after_call=10, resolved=True, customer="A",
         topic="launch"),
    call("06", wait=30, talk=200, resolved=True, customer="B"),
    call("07", wait=20, talk=60, customer="B", topic="bill"),
    call("08", wait=4, abandoned=True, customer="C"),
    call("09", wait=60, abandoned=True, customer="D"),
]  # fmt: skip
OUTBOUND = [call(f"1{n}", direction="outbound", talk=60, resolved=True) for n in range(8)]
REPEATED = [
    call("05", customer="A"), call("06", customer="A", resolved=True),
    call("07", customer="B", resolved=True), call("08", customer="B", direction="outbound"),
]  # fmt: skip
SHOP = [
    money("commerce.order.placed", f"{DEC}10", 50, customer="A", segment="b2c"),
    money("commerce.order.placed", "05", 100, customer="A", segment="b2b"),
    money("commerce.order.placed", "06", 200, customer="B", segment="b2c"),
    money("commerce.order.placed", "07", 100, customer="B", segment="b2c"),
    money("commerce.order.refunded", "08", 40, customer="B"),
    *(ev("commerce.session.started", "05", customer=c) for c in "ABCDE"),
    money("commerce.cart.abandoned", "05", 10, customer="C"),
]
REFUNDS = [money("commerce.order.refunded", day, 10, order="o/1") for day in ("08", "09")]
SPENDING = [
    money("marketing.spend.recorded", "05", 100, leads=10, orders=4, revenue=250, channel="web"),
    money("marketing.spend.recorded", "06", 100, leads=30, orders=1, revenue=50, channel="fair"),
    ev("marketing.action.completed", "06", action="signup"),
    *(ev("crm.customer.acquired", f"{DEC}0{n}", f"c/{n}") for n in range(1, 5)),
    ev("crm.customer.acquired", "10", "c/5", channel="web"),
    ev("crm.customer.acquired", "11", "c/6", channel="fair"),
    ev("crm.customer.churned", "12", "c/1"),
    money("cost.booked", "13", 60),
    money("commerce.order.placed", "05", 100, customer="A"),
    money("commerce.order.placed", "05", 300, customer="B"),
]
OTHER_COSTS = [money("cost.booked", "05", 500, category="it"),
               money("cost.booked", "05", 1000, initiative="crm", category="sales")]  # fmt: skip
LEADS = [
    ev("crm.lead.created", "01T10:00", "l/1", account="A"),
    ev("crm.activity.logged", "01T10:30", "l/1"),
    ev("crm.lead.qualified", "03", "l/1", account="A"),
    ev(OPENED, "05", "d/1", account="A"),
    ev("crm.lead.created", "01T10:00", "l/2", account="B"),
    ev("crm.activity.logged", "01T12:30", "l/2"),
]
LEADS_AGAIN = [ev("crm.lead.created", "02T10:00", "l/1", account="A")]
ACQUIRED_AGAIN = [ev("crm.customer.acquired", day, who)
                  for day, who in (("20", "c/5"), ("21", "c/1"))]  # fmt: skip
STAGES = [
    ev(STAGE, "01", "d/1", stage="qualification"), ev(STAGE, "02", "d/1", stage="proposal"),
    deal("09", "d/1"),
    ev(STAGE, "01", "d/2", stage="qualification"), deal("09", "d/2", "lost"),
    ev(STAGE, "03", "d/3", stage="qualification"), deal("08", "d/3"),
]  # fmt: skip
OPENED_IN = [
    ev(OPENED, "01", "d/1", stage="qualification"), ev(STAGE, "02", "d/1", stage="proposal"),
    deal("09", "d/1"), ev(OPENED, "01", "d/2", stage="qualification"), deal("09", "d/2", "lost"),
]  # fmt: skip
LOST_AND_WON = [
    deal("05", "d/1", "lost", amount=100), ev(REOPENED, "06", "d/1"),
    deal("11", "d/1", amount=120),
]  # fmt: skip
WON_TWICE = [
    deal("05", "d/1", amount=100), ev(REOPENED, "06", "d/1"), deal("11", "d/1", amount=120),
]  # fmt: skip
OPEN_AGAIN = [deal("05", "d/1", amount=100), ev(REOPENED, "06", "d/1"),
              deal("07", "d/2", "lost", amount=100)]  # fmt: skip
QUALIFICATIONS = [
    ev("crm.lead.qualified", "03", "l/1", qualification="mql"),
    ev("crm.lead.qualified", "04", "l/2", qualification="mql"),
    ev("crm.lead.qualified", "09", "l/2", qualification="sql"),
]
SUBSCRIPTIONS = [
    money("commerce.subscription.changed", f"{DEC}05", 100, "s/1"),
    money("commerce.subscription.changed", f"{DEC}06", 100, "s/2"),
    money("commerce.subscription.changed", "05", 150, "s/1"),
    ev("commerce.subscription.changed", "05", "s/2", kind="cancelled"),
    money("commerce.subscription.changed", "06", 70, "s/3"),
]
WON_BACK = [
    money("commerce.subscription.changed", f"{DEC}01", 900, "s/4"),
    ev("commerce.subscription.changed", f"{DEC}10", "s/4", kind="cancelled"),
    money("commerce.subscription.changed", "20", 80, "s/4"),
]
REPLACED = [
    money("commerce.subscription.changed", f"{DEC}01", 100, "s/1", customer="A"),
    ev("commerce.subscription.changed", "05", "s/1", kind="cancelled", customer="A"),
    money("commerce.subscription.changed", "05", 120, "s/2", customer="A"),
]
OPEN = [
    ev(OPENED, f"{DEC}20", "d/1"), ev("crm.activity.logged", "20", "d/1", kind="call"),
    money(OPENED, "02", 400, "d/2"),
    ev("crm.activity.logged", "03", "x", opportunity="d/3", kind="email"),
    ev(OPENED, "03", "d/3"), ev(MOVED, "09", "d/3", expected_close="2024-03-01"),
    ev(OPENED, "04T10:00", "d/4"), deal("04T10:30", "d/4", amount=100, account="A"),
    *figure("sales-target", 500),
]  # fmt: skip
WON_AND_CHANGED = [
    ev(OPENED, "02", "d/5"), ev(MOVED, "03", "d/5", expected_close="2024-05-01"), deal("05", "d/5"),
    ev(MOVED, "07", "d/5", owner="ann"),
]  # fmt: skip
ITEMS = [
    ev("work.item.started", "01T00:00", "i/1"),
    ev("work.item.state_changed", "01T08:00", "i/1", active=False),
    ev("work.item.completed", "01T10:00", "i/1", type="feature"),
    ev("work.item.started", "02T00:00", "i/2"),
    ev("work.item.state_changed", "02T02:00", "i/2", active=False),
    ev("work.item.completed", "03T16:00", "i/2", type="defect"),
    ev("work.item.started", "20T00:00", "i/3"),
]
PEOPLE = [
    *(ev("licence.assigned", f"{DEC}0{n}", user=f"u{n}") for n in range(1, 6)),
    ev("user.active", f"{DEC}20", user="u1"), ev("user.active", "27", user="u2"),
    ev("user.active", "31", user="u3"), ev("user.active", "31", user="u3"),
    ev("user.active", "10", user="u4"),
    ev("training.completed", f"{DEC}21", user="u1"), ev("training.completed", "02", user="u2"),
]  # fmt: skip
RECORDS = [
    ev("crm.record.profiled", "05", "r/1", completeness="0.5", duplicates=1),
    ev("crm.record.profiled", "09", "r/1", completeness="1", duplicates=0),
    ev("crm.record.profiled", "05", "r/2", completeness="0.6", duplicates=1),
]
MOVED_TEAM = ev("work.item.state_changed", "01T02:00", "i/1", team="x")
BLANK = ev("survey.response.received", "10", kind="csat")
VOICES = [
    voice("05", kind="review", stars=5, sentiment="positive", audience="customer"),
    voice("06", kind="review", stars=2, sentiment="negative", audience="customer"),
    voice("07", kind="conversation", sentiment="positive", audience="employee"),
    voice("08", kind="answer", sentiment="neutral", audience="investor"),
    voice("09", kind="answer", sentiment="positive", audience="partner"),
]
AFTER_CALLS = [
    call("01T10:00", customer="A"), call("02T10:00", customer="A"),
    call("01T10:00", customer="B"),
    call("01T11:00", customer="C"), call("03T11:00", customer="C"),
    ev("survey.response.received", "05", "A", kind="csat", score=2, customer="A"),
    ev("survey.response.received", "06", "A", kind="csat", score=5, customer="A"),
    ev("survey.response.received", "06", "B", kind="csat", score=5, customer="B"),
    ev("survey.response.received", "06", "C", kind="csat", score=3, customer="C"),
]  # fmt: skip
CAPTURED = [
    call("05T10:00", customer="A"), ev("crm.activity.logged", "05T18:00", "x", account="A"),
    call("05T10:00", customer="B"), ev("crm.activity.logged", "07T18:00", "x", account="B"),
]  # fmt: skip
AT_ITS_BEGINNING = [
    call("05T10:30", customer="C"), ev("crm.activity.logged", "05T10:00", "x", account="C"),
    call("05T10:30", customer="D", abandoned=True),
]  # fmt: skip
OF_ANOTHER_CASE = [
    *(ev("survey.response.received", "07", who, kind="nps", score=9, customer=who) for who in "AB"),
    ev("survey.response.received", "07", "A", kind="csat", customer="A"),
    call("01T10:00", customer="B"),
    call(f"{DEC}01T10:00", customer="D"), call("25T10:00", customer="D"),
    ev("survey.response.received", "26", "D", kind="csat", score=5, customer="D"),
    ev("survey.response.received", "27", "E", kind="csat", score=5, customer="E"),
    *(call(f"2{n}T10:00", customer="E") for n in (5, 6, 8)),
]  # fmt: skip
