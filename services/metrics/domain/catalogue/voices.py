"""What people say, and work that goes past the system."""

from __future__ import annotations

from services.metrics.domain.catalogue.entry import (
    ACTIVITY,
    CALL,
    CLOSED,
    IN_STAGE,
    IS_OPEN,
    OPEN_DEALS,
    OPENED,
    WON,
    Chosen,
    Entry,
    Json,
    Option,
    compare,
    count,
    derived,
    distinct,
    eq,
    every,
    from_figure,
    had,
    no,
    of,
    ratio,
    state,
    then,
)

_VOICES, _BYPASS = "feedback", "work that bypasses the system"
_FEEDBACK, _SURVEY = "feedback.recorded", "survey.response.received"
_POSITIVE, _NEGATIVE = eq("sentiment", "positive"), eq("sentiment", "negative")
_JUDGED = compare("sentiment", "in", ["positive", "neutral", "negative"])
_STAKEHOLDER = compare("audience", "in", ["stakeholder", "employee", "investor", "partner"])
_BY_WHOM = ("audience", "group", "themes")
_STAGES = Option("stages", ("qualification", "proposal"), "Stages that no deal may miss")
_OF_DEAL = ("subject", {"from": "$subject", "to": "opportunity"})


def _active_before(chosen: Chosen) -> Json:
    more = {"within": chosen["within"]} if chosen["within"] else {}
    kinds = compare("kind", "in", list(chosen["kinds"])) if chosen["kinds"] else None
    return {"any": [had(ACTIVITY, kinds, by, **more) for by in _OF_DEAL]}


def _all_stages(chosen: Chosen) -> Json:
    return every(*(had(IN_STAGE, eq("stage", name)) for name in chosen["stages"]))


def _satisfied(chosen: Chosen) -> Json:
    near = {"within": chosen["window"]}
    two_calls = had(CALL, had(CALL, None, "customer", **near), "customer", **near)
    kind = eq("kind", chosen["kind"])
    # An answer that another call or answer follows was not the last.
    answer = every(kind, compare("score", "exists", True))
    last = every(no(then(CALL, None, "customer", within="P7D")),
                 no(then(_SURVEY, answer, "customer", **near)))  # fmt: skip
    positive = compare("score", "gte", chosen["positive"])
    return distinct(_SURVEY, "customer", every(kind, positive, two_calls, last))


_TOUCH = (
    Option("within", "", "How long before closing an activity counts; empty: ever"),
    Option("kinds", (), "Kinds of activity that count; empty: all"),
)

ENTRIES = (
    Entry("satisfied-after-calls", "Satisfied after calls",
          "customers whose last answer after two or more calls is positive", "count", "up",
          "leading", "value",
          _satisfied, _VOICES, audience="customer",
          options=(Option("kind", "csat", "Which survey's answers"),
                   Option("positive", 4, "From which score on an answer is positive"),
                   Option("window", "P30D", "How close calls and answer of one case lie")),
          traps="Look at the share and the response rate beside it; provisional until the window "
          "has passed."),
    Entry("positive-feedback-share", "Positive feedback", "positive / (positive + negative)",
          "ratio", "up", "leading", "value",
          lambda c: ratio(count(_FEEDBACK, _POSITIVE),
                          count(_FEEDBACK, {"any": [_POSITIVE, _NEGATIVE]})), _VOICES,
          audience="customer", dimensions=_BY_WHOM, traps="Few cases: look at number and texts."),
    Entry("reviews", "Reviews", "reviews received", "count", "up", "leading", "value",
          lambda c: count(_FEEDBACK, eq("kind", "review")), _VOICES, audience="customer",
          dimensions=("channel",)),
    Entry("review-stars", "Review stars", "mean stars of the reviews", "score", "up", "leading",
          "value", lambda c: of("average", _FEEDBACK, "stars", eq("kind", "review")), _VOICES,
          audience="customer", dimensions=("channel",)),
    Entry("good-conversations", "Good conversations", "positive conversations", "count", "up",
          "leading", "value",
          lambda c: count(_FEEDBACK, every(eq("kind", "conversation"), _POSITIVE)), _VOICES,
          audience="customer", dimensions=("audience",)),
    Entry("stakeholder-sentiment", "Sentiment of stakeholders",
          "(positive - negative) / judged feedback of stakeholders", "score", "up", "leading",
          "value",
          lambda c: derived("(positive - negative) / judged",
                            positive=count(_FEEDBACK, every(_STAKEHOLDER, _POSITIVE)),
                            negative=count(_FEEDBACK, every(_STAKEHOLDER, _NEGATIVE)),
                            judged=count(_FEEDBACK, every(_STAKEHOLDER, _JUDGED))),
          _VOICES, audience="stakeholder", dimensions=("audience", "group"),
          traps="From -1 to 1; look at employees and investors apart."),
    Entry("closed-without-activity", "Closed without activity",
          "closed deals without any activity before / closed", "ratio", "down", "leading",
          "operational",
          lambda c: ratio(count(CLOSED, no(_active_before(c))), count(CLOSED)), _BYPASS,
          options=_TOUCH, dimensions=("owner", "region")),
    Entry("skipped-stages", "Skipped stages", "won deals that missed a mandatory stage / won",
          "ratio", "down", "leading", "operational",
          lambda c: ratio(count(CLOSED, every(WON, no(_all_stages(c)))), count(CLOSED, WON)),
          _BYPASS, options=(_STAGES,), dimensions=("owner", "pipeline")),
    Entry("process-compliance", "Process compliance", "won deals through all stages / won",
          "ratio", "up", "leading", "operational",
          lambda c: ratio(count(CLOSED, every(WON, _all_stages(c))), count(CLOSED, WON)),
          _BYPASS, options=(_STAGES,), dimensions=("owner", "pipeline")),
    Entry("born-closed", "Born closed", "opened and closed within an hour / closed", "ratio",
          "down", "leading", "operational",
          lambda c: ratio(count(CLOSED, had(OPENED, None, "subject", within=c["within"])),
                          count(CLOSED)), _BYPASS, dimensions=("owner",),
          options=(Option("within", "PT1H", "How soon after opening"),),
          traps="Typed in after the fact. Dates without time stand at midnight."),
    from_figure("late-entry", "Late entry", "recorded more than N days after it occurred / all",
                "ratio", "down", "leading", "operational", _BYPASS),
    Entry("deals-without-contact", "Deals without contact",
          "open deals without an activity in the last N days / open deals", "ratio", "down",
          "leading", "operational",
          lambda c: ratio(state(OPEN_DEALS, every(IS_OPEN, no(_active_before(c)))),
                          state(OPEN_DEALS, IS_OPEN)), _BYPASS,
          options=(Option("within", "P30D", "How long an activity covers a deal"), _TOUCH[1])),
)  # fmt: skip
