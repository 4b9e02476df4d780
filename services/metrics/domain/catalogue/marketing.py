"""Marketing: what leads and customers cost, what they bring, and who stays."""

from __future__ import annotations

from services.metrics.domain.catalogue.entry import (
    ACQUIRED,
    CHURNED,
    LEAD,
    OPENED,
    ORDER,
    QUALIFIED,
    SPEND,
    SUBSCRIPTION,
    Chosen,
    Entry,
    Json,
    Option,
    before,
    compare,
    count,
    derived,
    distinct,
    eq,
    every,
    from_figure,
    had,
    no,
    ratio,
    state,
    step,
    total,
)

_G = "marketing"
_SPEND, _REVENUE = total(SPEND, "amount"), total(SPEND, "revenue")
_NEW, _LOST = count(ACQUIRED), count(CHURNED)
_LEADS = {**count(LEAD), "per_subject": "last_in_period"}
_CUSTOMERS = state([ACQUIRED, CHURNED], eq("$type", ACQUIRED))
_MARGIN = Option("margin", 1, "Margin as a fraction of revenue; 1 takes revenue for margin")
_COSTS = (
    Option("costs", "paid", "Recorded marketing spend only, or with the costs booked for selling",
           ("paid", "fully_loaded")),
    Option("categories", ("sales", "marketing"), "Categories of the booked costs; those without "
           "one count, those of an initiative do not"),
)  # fmt: skip
_BY_CHANNEL = ("channel", "campaign")
_ORDERS = {"revenue": total(ORDER, "amount"), "customers": distinct(ORDER, "customer")}
# Who came and went within the period was no customer at its start, and who came back is none lost.
_AT_THE_START = had([ACQUIRED, CHURNED], eq("$type", ACQUIRED), before="period", which="last")
_LOST_AT_THE_END = {**count(CHURNED, _AT_THE_START), "per_subject": "last_in_period",
                    "undone_by": [ACQUIRED]}  # fmt: skip
_CHURN = {"lost": _LOST_AT_THE_END, "start": before(_CUSTOMERS)}
_PAYING = no(eq("kind", "cancelled"))
# The same subscription, or another one of the customer's.
_PAID_AT_THE_START = {
    "any": [had(SUBSCRIPTION, _PAYING, by, before="period", which="last")
            for by in ("subject", "customer")]
}  # fmt: skip


def _cac(chosen: Chosen) -> tuple[str, dict[str, Json]]:
    inputs = {"spend": _SPEND, "new": _NEW}
    if chosen["costs"] == "paid":
        return "spend / new", inputs
    # What was booked for an initiative is no cost of selling.
    selling = {"any": [compare("category", "in", list(chosen["categories"])),
                       compare("category", "exists", False)]}  # fmt: skip
    booked = total("cost.booked", "amount", every(compare("initiative", "exists", False), selling))
    return "(spend + booked) / new", {**inputs, "booked": booked}


def _cltv(chosen: Chosen) -> tuple[str, dict[str, Json]]:
    value = f"{chosen['margin']} * revenue / customers / (lost / start)"
    return value, {**_ORDERS, **_CHURN}


def _discounted(chosen: Chosen) -> Json:
    rate, first = chosen["discount_rate"], chosen["first_payment"]
    kept = "(1 - lost / start)"
    grown = f"(1 + {rate})" if first == "at_once" else kept
    value = f"{chosen['margin']} * revenue / customers * {grown} / (1 + {rate} - {kept})"
    return derived(value, **_ORDERS, **_CHURN)


def _joined(*parts: tuple[str, dict[str, Json]], operator: str) -> Json:
    expression = f" {operator} ".join(f"({text})" for text, _ in parts)
    return derived(expression, **{k: v for _, inputs in parts for k, v in inputs.items()})


def _payback(chosen: Chosen) -> Json:
    monthly = (f"{chosen['margin']} * revenue / customers", dict(_ORDERS))
    return _joined(_cac(chosen), monthly, operator="/")


def _conversion(first: str, last: str, by: str) -> Json:
    joined = "subject" if by == "subject" else {"from": by, "to": by}
    return {"kind": "conversion", "from": step(first), "to": step(last), "within": "P90D",
            "join": joined}  # fmt: skip


def _mql_sql(chosen: Chosen) -> Json:
    if chosen["by"] == "events":
        return _conversion(LEAD, QUALIFIED, "subject")
    qualified = (step(QUALIFIED, eq("qualification", name)) for name in ("mql", "sql"))
    return {**_conversion(QUALIFIED, QUALIFIED, "subject"),
            **dict(zip(("from", "to"), qualified, strict=True))}  # fmt: skip


ENTRIES = (
    Entry("cpl", "Cost per lead", "campaign spend / leads", "money", "down", "leading", "value",
          lambda c: ratio(_SPEND, total(SPEND, "leads") if c["leads"] == "reported"
                          else _LEADS), _G, audience="prospect", dimensions=_BY_CHANNEL,
          options=(Option("leads", "reported", "As the campaign reports them, or as the CRM "
                          "created them", ("reported", "created")),),
          convention="Marketing formula pages",
          traps="Reported leads count as often as reported, created ones once."),
    Entry("cpa", "Cost per action", "spend / target actions", "money", "down", "leading", "value",
          lambda c: ratio(_SPEND, total(SPEND, "orders") if c["action"] == "orders"
                          else count("marketing.action.completed")), _G, dimensions=_BY_CHANNEL,
          options=(Option("action", "orders", "Orders as reported, or completed actions",
                          ("orders", "actions")),),
          traps="The action may be a registration, not a customer."),
    Entry("cac", "Customer acquisition cost", "(sales + marketing cost) / new customers", "money",
          "down", "lagging", "value", lambda c: derived(_cac(c)[0], **_cac(c)[1]), _G,
          options=_COSTS, convention="Marketing formula pages",
          traps="Spend of this period, customers of this period: the cycle lies between them."),
    Entry("cac-payback", "CAC payback", "CAC / (monthly revenue per customer x margin)", "months",
          "down", "lagging", "value", _payback, _G, options=(*_COSTS, _MARGIN),
          convention="Marketing formula pages",
          traps="Ask by month: the result is in periods of the question."),
    Entry("cltv-simple", "Customer lifetime value", "margin x revenue per customer / churn",
          "money", "up", "lagging", "value", lambda c: derived(_cltv(c)[0], **_cltv(c)[1]), _G,
          options=(_MARGIN,), audience="customer", convention="Marketing formula pages",
          traps="A constant rate of leaving, not discounted."),
    Entry("cltv-discounted", "Customer lifetime value, discounted",
          "m (1 + d) / (1 + d - r), or m r / (1 + d - r)", "money", "up", "lagging", "value",
          _discounted, _G, audience="customer",
          options=(_MARGIN, Option("discount_rate", 0.01, "Per period of the question"),
                   Option("first_payment", "at_once", "At once, or after the first period",
                          ("at_once", "after_one_period"))), traps="Say which payment is first."),
    Entry("ltv-cac", "LTV to CAC", "CLTV / CAC", "x", "up", "lagging", "value",
          lambda c: _joined(_cltv(c), _cac(c), operator="/"), _G, options=(*_COSTS, _MARGIN),
          convention="Marketing formula pages", traps="A ratio of two estimates; 3 is usual."),
    Entry("romi", "Return on marketing", "(revenue x margin - spend) / spend", "ratio", "up",
          "lagging", "value", lambda c: derived(
              f"({c['margin']} * revenue - spend) / spend", revenue=_REVENUE, spend=_SPEND), _G,
          options=(_MARGIN,), dimensions=_BY_CHANNEL, convention="Marketing formula pages",
          traps="Revenue unless a margin is chosen; the attribution is the source's."),
    Entry("roas", "Return on ad spend", "attributed revenue / ad spend", "x", "up", "leading",
          "value", lambda c: ratio(_REVENUE, _SPEND), _G, dimensions=_BY_CHANNEL,
          convention="Marketing formula pages", traps="This is no profit."),
    Entry("channel-effectiveness", "Channel effectiveness",
          "customers by channel / spend by channel", "x", "up", "lagging", "value",
          lambda c: ratio(_NEW, _SPEND), _G, dimensions=("channel",),
          traps="By the channel that the event carries; group by channel."),
    Entry("mql-sql", "MQL to SQL", "accepted in the cohort / cohort", "ratio",
          "up", "leading", "value", _mql_sql, _G,
          audience="prospect", drives=("revenue",), traps="A cohort, 90 days.",
          options=(Option("by", "events", "Leads created and qualified, or qualified as `mql` "
                          "and `sql`", ("events", "qualification")),)),
    Entry("sql-opp", "SQL to opportunity", "with an opportunity / qualified", "ratio", "up",
          "leading", "value", lambda c: _conversion(QUALIFIED, OPENED, c["join"]), _G,
          audience="prospect", drives=("revenue",), traps="A cohort, 90 days.",
          options=(Option("join", "account", "What ties lead and deal together",
                          ("account", "subject")),)),
    Entry("lead-conversion", "Lead conversion", "with an opportunity / leads created", "ratio",
          "up", "leading", "value", lambda c: _conversion(LEAD, OPENED, c["join"]), _G,
          audience="prospect", drives=("revenue",), traps="A cohort, 90 days.",
          options=(Option("join", "account", "What ties lead and deal together",
                          ("account", "subject")),)),
    Entry("churn-logo", "Customer churn", "customers lost / customers at the start", "ratio",
          "down", "lagging", "value", lambda c: derived("lost / start", **_CHURN), _G,
          audience="customer", drives=("revenue",),
          traps="Of those who were customers at the start; who came and went within the period "
          "does not count, nor who was back at its end."),
    from_figure("churn-revenue", "Revenue churn", "recurring revenue lost / at the start", "ratio",
                "down", "lagging", "value", _G, audience="customer", drives=("revenue",)),
    Entry("nrr", "Net revenue retention",
          "recurring revenue at the end of those who had some at the start / at the start",
          "ratio", "up", "lagging", "value",
          lambda c: derived(
              "kept / start",
              kept=state([SUBSCRIPTION], every(_PAYING, _PAID_AT_THE_START),
                         statistic="sum", field="amount"),
              start=before(state([SUBSCRIPTION], _PAYING, statistic="sum", field="amount"))), _G,
          audience="customer", drives=("revenue",),
          traps="Customers who were none when the period began are left out, new or won back. A "
          "new subscription counts where the customer's last change before was no cancelling."),
    from_figure("grr", "Gross revenue retention", "the same without expansion", "ratio", "up",
                "lagging", "value", _G, audience="customer", drives=("revenue",)),
    Entry("recurring-revenue", "Recurring revenue", "amounts of running subscriptions", "money",
          "up", "lagging", "value",
          lambda c: state([SUBSCRIPTION], _PAYING, statistic="sum", field="amount"), _G,
          audience="customer", drives=("revenue",), dimensions=("plan",),
          traps="One that was cancelled runs again once an event says so in `kind`."),
)  # fmt: skip
