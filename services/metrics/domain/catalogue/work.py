"""Work and its tools: flow of items, adoption of the system, and the quality of its data."""

from __future__ import annotations

from typing import Any

from services.metrics.domain.catalogue.entry import (
    ACTIVITY,
    CALL,
    IS_OPEN,
    OPEN_DEALS,
    Entry,
    Json,
    Option,
    compare,
    count,
    distinct,
    eq,
    every,
    from_figure,
    had,
    no,
    over,
    ratio,
    state,
    step,
    then,
)

_FLOW, _USE, _DATA = "flow", "adoption", "data quality"
_STARTED, _MOVED, _DONE = "work.item.started", "work.item.state_changed", "work.item.completed"
_ACTIVE, _LICENCE, _TRAINED, _PROFILED = (
    "user.active", "licence.assigned", "training.completed", "crm.record.profiled",
)  # fmt: skip
_ITEMS: dict[str, Any] = {"dimensions": ("type", "team"), "convention": "flowframework.org"}
_LICENSED = had(_LICENCE, None, "user")
_USERS, _ASSIGNED = distinct(_ACTIVE, "user"), over(distinct(_LICENCE, "user"), since="start")

_TAKEN_CALLS = no(eq("abandoned", True))
_CAPTURED = {
    "any": [
        near(ACTIVITY, None, by, within=within)
        for near, within in ((then, "P1D"), (had, "PT2H"))
        for by in ("subject", {"from": "customer", "to": "account"})
    ]
}


def _active(days: str) -> Json:
    return over(_USERS, trailing=days)


def _touched(days: str) -> Json:
    by_field = {"from": "$subject", "to": "opportunity"}
    return {"any": [had(ACTIVITY, None, "subject", within=days),
                    had(ACTIVITY, None, by_field, within=days)]}  # fmt: skip


ENTRIES = (
    Entry("flow-velocity", "Flow velocity", "items completed", "count", "up", "leading",
          "operational", lambda c: count(_DONE), _FLOW, **_ITEMS),
    Entry("flow-time", "Flow time", "completion - start, active and waiting", "days", "down",
          "leading", "operational",
          lambda c: {"kind": "duration", "from": step(_STARTED), "to": step(_DONE),
                     "statistic": "percentile", "q": c["q"]}, _FLOW,
          options=(Option("q", 0.5, "Quantile; 0.85 is promised often"),), **_ITEMS),
    Entry("flow-efficiency", "Flow efficiency", "active time / total time of completed items",
          "ratio", "up", "leading", "operational",
          lambda c: {"kind": "time_in_state", "statistic": "share_of_total",
                     "enter": {"events": [_STARTED, _MOVED], "where": {
                         "any": [eq("$type", _STARTED), eq("active", True)]}},
                     "leave": {"events": [_MOVED, _DONE], "where": {
                         "any": [eq("$type", _DONE), eq("active", False)]}},
                     "done": step(_DONE)}, _FLOW,
          traps="Pooled over items, never a mean of ratios; an item is active from its start.",
          **_ITEMS),
    Entry("flow-load", "Flow load", "items in progress at the end", "count", "band", "leading",
          "operational",
          lambda c: state([_STARTED, _MOVED, _DONE], no(eq("$type", _DONE))), _FLOW, **_ITEMS),
    Entry("flow-distribution", "Flow distribution", "completed items by type", "count", "band",
          "leading", "operational", lambda c: count(_DONE), _FLOW,
          traps="Group by type; the shares are of the sum over all groups.", **_ITEMS),
    *(
        Entry(id_, f"{name} active users", f"distinct users in {days}", "count", "up", "leading",
              "usage", lambda c, days=days: _active(days), _USE,  # type: ignore[misc]
              dimensions=("unit",), cadence="daily",
              traps="Usage is not value. A sign-in alone should be no event.")
        for id_, name, days in (("dau", "Daily", "P1D"), ("wau", "Weekly", "P7D"),
                                ("mau", "Monthly", "P30D"))
    ),
    Entry("stickiness", "Stickiness", "daily / monthly active users", "ratio", "up", "leading",
          "usage", lambda c: ratio(_active("P1D" if c["of"] == "daily" else "P7D"),
                                   _active("P30D")), _USE,
          options=(Option("of", "daily", "Daily or weekly users", ("daily", "weekly")),),
          traps="On the last day of the period."),
    Entry("licence-utilisation", "Licence utilisation", "active users / assigned licences",
          "ratio", "up", "leading", "usage",
          lambda c: ratio(distinct(_ACTIVE, "user", _LICENSED), _ASSIGNED), _USE,
          traps="Users without a licence do not count."),
    from_figure("feature-adoption", "Feature adoption", "users of a feature / eligible users",
                "ratio", "up", "leading", "usage", _USE),
    Entry("activity-coverage", "Activity coverage",
          "open deals with an activity in the last N days / open deals", "ratio", "up", "leading",
          "usage", lambda c: ratio(state(OPEN_DEALS, every(IS_OPEN, _touched(c["within"]))),
                                   state(OPEN_DEALS, IS_OPEN)), _USE,
          options=(Option("within", "P30D", "How long an activity covers a deal"),)),
    Entry("trained-share", "Trained share", "trained users / users with a licence", "ratio", "up",
          "leading", "usage",
          lambda c: ratio(over(distinct(_TRAINED, "user"), since="start"), _ASSIGNED),
          _USE, traps="Whoever was trained counts, with a licence or without one.",
          drives=("licence-utilisation",)),
    Entry("time-to-first-value", "Time to first value", "first activity - licence", "days",
          "down", "leading", "usage",
          lambda c: {"kind": "duration", "from": step(_LICENCE), "to": step(_ACTIVE),
                     "join": {"from": "user", "to": "user"}, "statistic": "median"}, _USE),
    Entry("onboarding-time", "Onboarding time", "median of onboarded - acquired", "days", "down",
          "leading", "value",
          lambda c: {"kind": "duration", "from": step("crm.customer.acquired"),
                     "to": step("crm.customer.onboarded"), "clock": "calendar_days",
                     "statistic": "median"}, _USE, audience="customer"),
    from_figure("automation-share", "Automation share", "cases without manual work / cases",
                "ratio", "up", "leading", "operational", _USE),
    from_figure("time-to-information", "Time to information", "median time to find an answer",
                "min", "down", "leading", "operational", _USE),
    Entry("data-completeness", "Data completeness", "mean completeness of the records", "ratio",
          "up", "leading", "operational",
          lambda c: state([_PROFILED], statistic="average", field="completeness"), _DATA,
          traps="The source weighs the fields."),
    from_figure("timeliness", "Timeliness", "median of entered - occurred", "h", "down",
                "leading", "operational", _DATA),
    Entry("duplicate-rate", "Duplicate rate", "duplicates / records", "ratio", "down", "leading",
          "operational",
          lambda c: ratio(state([_PROFILED], statistic="sum", field="duplicates"),
                          state([_PROFILED])), _DATA),
    Entry("customer-base-quality", "Quality of the customer base",
          "records that are complete, current and unduplicated / records", "ratio", "up",
          "leading", "operational",
          lambda c: ratio(
              state([_PROFILED], every(compare("completeness", "gte", c["complete"]),
                                       eq("duplicates", 0),
                                       had(_PROFILED, None, "subject", within=c["current"]))),
              state([_PROFILED])), _DATA,
          options=(Option("complete", 0.9, "From which completeness on"),
                   Option("current", "P12M", "How old the last check may be"))),
    Entry("interaction-capture", "Interaction capture",
          "answered calls with a CRM activity within a day / answered calls", "ratio", "up",
          "leading", "operational",
          lambda c: ratio(count(CALL, every(_TAKEN_CALLS, _CAPTURED)), count(CALL, _TAKEN_CALLS)),
          _DATA,
          traps="Joined by subject, or by the customer of the call and account of the activity; "
          "an activity may be dated at the call's beginning."),
    Entry("launch-enquiries", "Enquiries about a launch", "calls about a topic", "count", "none",
          "leading", "operational",
          lambda c: count(CALL, compare("topic", "contains", c["topic"])), "efficiency",
          options=(Option("topic", "launch", "What the topic contains"),), audience="prospect",
          dimensions=("topic", "queue")),
)  # fmt: skip
