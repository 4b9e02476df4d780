"""Sales: what deals become, how long they take, what they are worth, and who buys again."""

from __future__ import annotations

from services.metrics.domain.catalogue.entry import (
    ACQUIRED,
    ACTIVITY,
    CHANGED,
    CLOSED,
    CLOSINGS,
    IN_STAGE,
    IS_OPEN,
    LEAD,
    OPEN_DEALS,
    OPENED,
    ORDER,
    STAGE,
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
    last_of_each,
    no,
    observed,
    of,
    over,
    ratio,
    state,
    step,
    total,
)

_G = "sales"
_WON, _CLOSED = count(CLOSED, WON), count(CLOSED)
_SUMMED = Option(
    "closings", "each", "Each closing, so that periods add up; or of a deal that was closed more "
    "than once in the period its last one", ("each", "last"))  # fmt: skip
_REVENUE = total(CLOSED, "amount", WON)
_BASIS = Option("basis", "deals", "Won deals by account, or orders by customer",
                ("deals", "orders"))  # fmt: skip
_STATISTIC = Option("statistic", "median", "Median, or the mean, which few long ones pull up",
                    ("median", "average"))  # fmt: skip


def _counted(chosen: Chosen, part: Json) -> Json:
    """Closings as they are chosen to count."""
    return last_of_each(part) if chosen["closings"] == "last" else part


def _win_rate(chosen: Chosen) -> Json:
    if chosen["cohort"] == "closed":
        return ratio(_counted(chosen, _WON), _counted(chosen, _CLOSED))
    became = {"kind": "conversion", "from": step(OPENED), "as": "count"}
    return ratio({**became, "to": step(CLOSED, WON)}, {**became, "to": step(CLOSED)})


def _coverage(chosen: Chosen) -> Json:
    target = "target" if chosen["target"] == "full" else "(target - won)"
    given = {"target": observed("sales-target"), "won": _REVENUE}
    if chosen["target"] == "full":
        del given["won"]
    pipeline = state([*OPEN_DEALS, CHANGED], IS_OPEN, statistic="sum", field="amount")
    return derived(f"pipeline / {target}", pipeline=pipeline, **given)


def _cycle(chosen: Chosen) -> Json:
    return {
        "kind": "duration", "from": step(OPENED), "to": step(CLOSED, WON),
        "clock": "calendar_days", "statistic": chosen["statistic"],
    }  # fmt: skip


def _buyers(chosen: Chosen, where: Json | None = None) -> Json:
    if chosen["basis"] == "orders":
        return distinct(ORDER, "customer", where)
    return distinct(CLOSED, "account", every(WON, where) if where else WON)


def _bought_before(chosen: Chosen) -> Json:
    before = "period" if chosen["rule"] == "before_period" else "event"
    if chosen["basis"] == "orders":
        return had(ORDER, None, "customer", before=before)
    return had(CLOSED, WON, "account", before=before)


def _revenue(chosen: Chosen) -> Json:
    return total(ORDER, "amount") if chosen["basis"] == "orders" else _counted(chosen, _REVENUE)


def _stage_conversion(chosen: Chosen) -> Json:
    later = compare("stage", "in", list(chosen["to_stages"]))
    return {
        "kind": "conversion", "from": step(IN_STAGE, eq("stage", chosen["from_stage"])),
        "to": {"events": [STAGE, CLOSED], "where": {"any": [later, WON]}},
        "within": chosen["within"],
    }  # fmt: skip


def _new_customers(chosen: Chosen) -> Json:
    if chosen["rule"] == "acquired":
        return count(ACQUIRED)
    if chosen["rule"] == "first_acquired":
        first = count(ACQUIRED, no(had(ACQUIRED, None, before="period")))
        return {**first, "per_subject": "last_in_period"}
    return distinct(CLOSED, "account", every(WON, no(had(CLOSED, WON, "account", before="period"))))


ENTRIES = (
    Entry("win-rate", "Win rate", "won / (won + lost), closed in the period", "ratio", "up",
          "lagging", "value", _win_rate, _G, drives=("revenue",),
          dimensions=("region", "owner", "product"),
          options=(Option("cohort", "closed", "Deals closed in the period, or opened in it",
                          ("closed", "created")), CLOSINGS),
          traps="Open and disqualified deals do not count; those opened in a period stay "
          "provisional."),
    Entry("win-rate-value", "Win rate by value", "sum of won amounts / sum of closed amounts",
          "ratio", "up", "lagging", "value",
          lambda c: ratio(_counted(c, _REVENUE), _counted(c, total(CLOSED, "amount"))), _G,
          drives=("revenue",), dimensions=("region", "owner", "product"), options=(CLOSINGS,),
          traps="The amount at closing; it can move against the count."),
    Entry("stage-conversion", "Stage conversion",
          "distinct deals that came to a later stage / distinct deals that entered a stage",
          "ratio", "up", "leading", "value", _stage_conversion, _G, drives=("win-rate",),
          options=(Option("from_stage", "qualification", "The stage that is left"),
                   Option("to_stages", ("proposal", "negotiation"), "Stages that count as later"),
                   Option("within", "P90D", "How long a deal may take")),
          traps="A cohort by entering; skipped stages count as passed, re-entries once."),
    Entry("funnel-conversion", "Funnel conversion", "won / created, by creation", "ratio", "up",
          "lagging", "value",
          lambda c: {"kind": "conversion", "from": step(OPENED), "to": step(CLOSED, WON),
                     "within": c["within"]}, _G, drives=("revenue",),
          options=(Option("within", "P180D", "How long a deal may take; take twice the cycle"),),
          traps="Cohorts are provisional until their window has passed."),
    Entry("sales-cycle", "Sales cycle", "median of won closing - opening", "days", "down",
          "lagging", "value", _cycle, _G, options=(_STATISTIC,), drives=("revenue",),
          dimensions=("region", "owner", "product"), traps="Won deals only; from their opening."),
    Entry("avg-deal-size", "Average deal size", "sum of won amounts / won", "money", "up",
          "lagging", "value", lambda c: _counted(c, of(
              c["statistic"], CLOSED, "amount", WON,
              **({"q": 0.5} if c["statistic"] != "average" else {}))),
          _G, drives=("revenue",), dimensions=("region", "owner", "product"),
          options=(Option("statistic", "average", "The mean, or the median beside it",
                          ("average", "percentile")), CLOSINGS)),
    Entry("repeat-customer-share", "Repeat customers' share",
          "customers with two purchases ever, one in the period / customers of the period",
          "ratio", "up", "lagging", "value",
          lambda c: ratio(_buyers(c, _bought_before(c)), _buyers(c)), _G, audience="customer",
          drives=("revenue",),
          options=(_BASIS, Option("rule", "two_ever", "The earlier purchase lies before the later "
                                  "one, or before the period", ("two_ever", "before_period")))),
    Entry("activities-per-customer", "Activities per customer",
          "logged activities / customers with a won deal", "count", "none", "leading",
          "operational", lambda c: ratio(count(ACTIVITY), distinct(CLOSED, "account", WON)), _G,
          traps="There is an optimum; more is not better."),
    Entry("pipeline-coverage", "Pipeline coverage", "open pipeline / (target - won)", "x", "up",
          "leading", "operational",
          _coverage, _G, drives=("revenue",),
          options=(Option("target", "remaining", "What is still to be won, or the whole target",
                          ("remaining", "full")),),
          traps="Unweighted. The target is fed as the figure "
          "`sales-target` with `metric.observed`."),
    Entry("sales-velocity", "Sales velocity",
          "closed deals x win rate x deal size / cycle days = won amount / cycle days",
          "money/day", "up", "leading", "value",
          lambda c: derived("closed * (won / closed) * (revenue / won) / cycle", closed=_CLOSED,
                            won=_WON, revenue=_REVENUE, cycle=_cycle({"statistic": "average"})),
          _G, drives=("revenue",), traps="All four of the same cohort, by closing date."),
    Entry("forecast-accuracy", "Forecast accuracy", "1 - abs(forecast - actual) / actual", "ratio",
          "up", "lagging", "operational",
          lambda c: derived("1 - abs(forecast - actual) / actual", actual=_REVENUE,
                            forecast=observed("forecast")), _G,
          traps="The forecast is fed as the figure `forecast` with `metric.observed`; fix the day "
          "on which it is taken."),
    from_figure("discount-rate", "Discount rate", "sum of discounts / sum of list prices", "ratio",
                "down", "leading", "operational", _G),
    Entry("slippage", "Slippage", "open deals whose expected close was moved / open deals",
          "ratio", "down", "leading", "operational",
          lambda c: ratio(state(OPEN_DEALS, every(IS_OPEN, had(
              CHANGED, compare("expected_close", "exists", True)))), state(OPEN_DEALS, IS_OPEN)),
          _G, traps="At the period's end, of deals moved at any time before; a date that was moved "
          "forward counts, too, and one that a change told first."),
    Entry("no-decision-share", "No-decision share", "lost without decision / closed", "ratio",
          "down", "leading", "operational",
          lambda c: ratio(_counted(c, count(CLOSED, eq("reason", c["reason"]))),
                          _counted(c, _CLOSED)), _G,
          options=(Option("reason", "no_decision", "The reason that stands for no decision"),
                   CLOSINGS)),
    Entry("lead-response-time", "Lead response time", "median of first touch - creation", "min",
          "down", "leading", "operational",
          lambda c: {"kind": "duration", "from": step(LEAD), "to": step(ACTIVITY),
                     "clock": c["clock"], "statistic": "median"}, _G, audience="prospect",
          options=(Option("clock", "elapsed", "Elapsed time, or business hours",
                          ("elapsed", "business")),), drives=("win-rate",)),
    Entry("revenue", "Revenue", "sum of won amounts", "money", "up", "lagging", "value",
          _revenue, _G, options=(_BASIS, _SUMMED), dimensions=("region", "owner", "product")),
    Entry("new-customers", "New customers", "customers acquired", "count", "up", "lagging",
          "value", _new_customers, _G, drives=("revenue",), audience="customer",
          options=(Option("rule", "acquired", "As often as the source says, each customer the "
                          "first time, or by the first won deal",
                          ("acquired", "first_acquired", "first_won")),)),
    Entry("product-mix", "Product mix", "won amounts by product", "money", "none", "lagging",
          "value", lambda c: _REVENUE, _G, drives=("revenue",), dimensions=("product",),
          traps="Group by product; the shares are of the sum over all groups."),
    Entry("sales-productivity", "Sales productivity", "won amount / people who won deals", "money",
          "up", "lagging", "value", lambda c: ratio(_REVENUE, distinct(CLOSED, "owner", WON)), _G,
          dimensions=("region",)),
    *(
        Entry(f"{kind.replace('_', '-')}-share", f"{name} share",
              f"won amounts of type {kind} / won amounts", "ratio", "up", "lagging", "value",
              lambda c, kind=kind: ratio(  # type: ignore[misc]
                  total(CLOSED, "amount", every(WON, eq("type", kind))), _REVENUE),
              _G, drives=("revenue",))
        for kind, name in (("upsell", "Upsell"), ("cross_sell", "Cross-sell"))
    ),
    Entry("loss-reasons", "Loss reasons", "lost deals by reason", "count", "down", "lagging",
          "operational", lambda c: _counted(c, count(CLOSED, eq("outcome", "lost"))), _G,
          dimensions=("reason", "region", "product"), options=(CLOSINGS,),
          traps="Group by reason."),
    Entry("customer-base", "Customer base", "customers with a purchase in the last N months",
          "count", "up", "lagging", "value",
          lambda c: over(_buyers(c), trailing=c["window"]) if c["window"]
          else over(_buyers(c), since="start"), _G, drives=("revenue",), audience="customer",
          options=(_BASIS, Option("window", "P12M", "How far back; empty: ever"))),
    from_figure("gross-margin", "Gross margin", "(revenue - cost of sales) / revenue", "ratio",
                "up", "lagging", "value", _G),
    from_figure("operating-cash-flow", "Operating cash flow", "cash from operations", "money",
                "up", "lagging", "value", _G),
    from_figure("market-share", "Market share", "own sales / sales of the market", "ratio", "up",
                "lagging", "value", _G),
)  # fmt: skip
