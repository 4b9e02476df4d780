"""Contact centre: customer satisfaction and efficiency of calls and cases."""

from __future__ import annotations

from services.metrics.domain.catalogue.entry import (
    CALL,
    Chosen,
    Entry,
    Json,
    Option,
    compare,
    count,
    derived,
    eq,
    every,
    from_figure,
    had,
    no,
    of,
    ratio,
    then,
    total,
)

_SATISFACTION, _EFFICIENCY = "customer satisfaction", "efficiency"
_SURVEY = "survey.response.received"
# Calls that we make are offered to nobody, and wait for nobody.
_CAME_IN = no(eq("direction", "outbound"))
_ANSWERED = no(eq("abandoned", True))
_ABANDONED, _TAKEN = every(eq("abandoned", True), _CAME_IN), every(_ANSWERED, _CAME_IN)
_HANDLED, _OFFERED = count(CALL, _ANSWERED), count(CALL, _CAME_IN)
_DIMENSIONS = ("queue", "topic", "direction")
_THRESHOLD = Option("threshold", 20, "T, in seconds")
_SHORT = Option("short", 5, "s, in seconds: abandons before it are short")


def _short(chosen: Chosen) -> Json:
    return every(_ABANDONED, compare("wait", "lt", chosen["short"]))


def _abandonment(chosen: Chosen) -> Json:
    among = {"queued": compare("queue", "exists", True), "inbound": eq("direction", "inbound")}
    which = every(_CAME_IN, among[chosen["among"]]) if chosen["among"] in among else _CAME_IN
    return ratio(count(CALL, every(_ABANDONED, which)), count(CALL, which))


def _without_short(chosen: Chosen) -> Json:
    long = count(CALL, every(_ABANDONED, no(_short(chosen))))
    offered = every(_CAME_IN, no(_short(chosen))) if chosen["from"] == "both" else _CAME_IN
    return ratio(long, count(CALL, offered))


def _hold(chosen: Chosen) -> Json:
    held = every(_ANSWERED, compare("hold", "gt", 0)) if chosen["per"] == "held" else _ANSWERED
    return ratio(total(CALL, "hold", _ANSWERED), count(CALL, held))


def _service_level(chosen: Chosen) -> Json:
    in_time = compare("wait", "lte", chosen["threshold"])
    answered, abandoned = every(_TAKEN, in_time), every(_ABANDONED, in_time)
    match chosen["abandons"]:
        case "ignored":
            return ratio(count(CALL, answered), count(CALL, every(_CAME_IN, no(abandoned))))
        case "positive":
            return ratio(count(CALL, {"any": [answered, abandoned]}), _OFFERED)
        case "answered_only":
            return ratio(count(CALL, answered), count(CALL, _TAKEN))
        case "short_removed":
            return ratio(count(CALL, answered), count(CALL, every(_CAME_IN, no(_short(chosen)))))
        case _:
            return ratio(count(CALL, answered), _OFFERED)


def _fcr(chosen: Chosen) -> Json:
    within = chosen["window"]
    again = then(CALL, _CAME_IN, "customer", within=within)
    first = every(_CAME_IN, no(had(CALL, _TAKEN, "customer", within=within)))
    resolved = count(CALL, every(first, _TAKEN, eq("resolved", True), no(again)))
    return ratio(resolved, _OFFERED if chosen["among"] == "contacts" else count(CALL, first))


def _answered(kind: str) -> Json:
    """Responses of a kind that have a score: who left it out has not answered."""
    return every(eq("kind", kind), compare("score", "exists", True))


def _csat(chosen: Chosen) -> Json:
    kind = _answered("csat")
    if chosen["measure"] == "mean":
        return of("average", _SURVEY, "score", kind)
    return ratio(count(_SURVEY, every(kind, compare("score", "gte", 4))), count(_SURVEY, kind))


def _ces(chosen: Chosen) -> Json:
    kind = _answered("ces")
    if chosen["measure"] == "mean":
        return of("average", _SURVEY, "score", kind)
    return ratio(count(_SURVEY, every(kind, compare("score", "gte", 5))), count(_SURVEY, kind))


def _nps(chosen: Chosen) -> Json:
    kind = _answered("nps")
    return derived(
        "100 * (promoters - detractors) / responses",
        promoters=count(_SURVEY, every(kind, compare("score", "gte", 9))),
        detractors=count(_SURVEY, every(kind, compare("score", "lte", 6))),
        responses=count(_SURVEY, kind),
    )


_MEASURE = Option("measure", "top2", "Share of the best answers, or the mean", ("top2", "mean"))
ENTRIES = (
    Entry("abandonment-rate", "Abandonment rate", "abandoned in the queue / offered", "ratio",
          "down", "leading", "value", _abandonment,
          _SATISFACTION, audience="customer", dimensions=_DIMENSIONS,
          convention="Amazon Connect documents", drives=("csat",),
          options=(Option("among", "offered", "All calls, those with a queue, or the inbound ones",
                          ("offered", "queued", "inbound")),),
          traps="Calls that we make are not offered."),
    Entry("abandonment-excl-short", "Abandonment without short calls",
          "(abandoned - short) / (offered - short)", "ratio", "down", "leading", "value",
          _without_short, _SATISFACTION, audience="customer", dimensions=_DIMENSIONS,
          options=(_SHORT, Option("from", "both", "Whether short calls are taken from the offered "
                                  "ones, too", ("both", "numerator"))),
          convention="WFM Labs glossary: 5 s", traps="Calls that we make are not offered."),
    Entry("ata", "Average time to abandon", "sum of waits of abandoned / abandoned", "s", "none",
          "leading", "operational",
          lambda c: of("average", CALL, "wait", every(_ABANDONED, compare(
              "wait", "gte", c["short"]))),
          _SATISFACTION, audience="customer", dimensions=_DIMENSIONS,
          options=(Option("short", 0, "s, in seconds: abandons before it are left out"),),
          traps="Higher is not simply better."),
    Entry("asa", "Average speed of answer", "sum of waits of answered / answered", "s", "down",
          "leading", "operational", lambda c: of("average", CALL, "wait", _TAKEN),
          _EFFICIENCY, audience="customer", dimensions=_DIMENSIONS,
          traps="Abandoned calls are not included, nor those that we make."),
    Entry("service-level", "Service level", "answered within T / offered", "ratio", "up",
          "leading", "operational", _service_level, _EFFICIENCY, audience="customer",
          dimensions=_DIMENSIONS, drives=("csat",),
          convention="Cisco ICM and CCE guides; WFM Labs glossary; RingCentral API",
          options=(_THRESHOLD, Option("abandons", "negative", "What abandons within T count as",
                   ("negative", "ignored", "positive", "answered_only", "short_removed")), _SHORT),
          traps="Abandons count as missed unless chosen otherwise; a call belongs to the period "
          "in which it was completed; days are pooled."),
    Entry("aht", "Average handling time", "sum of (talk + hold + after-call) / handled", "s",
          "down", "leading", "value",
          lambda c: ratio(total(CALL, "talk + hold + after_call", _ANSWERED), _HANDLED),
          _EFFICIENCY, dimensions=_DIMENSIONS, convention="WFM Labs glossary; Foundever",
          traps="Not at the cost of first-contact resolution."),
    *(
        Entry(id_, name, f"sum of {field} / handled", "s", "down", "leading", "operational",
              lambda c, field=field: ratio(  # type: ignore[misc]
                  total(CALL, field, _ANSWERED), _HANDLED), _EFFICIENCY, dimensions=_DIMENSIONS)
        for id_, name, field in (
            ("att", "Average talk time", "talk"),
            ("acw", "Average after-call work", "after_call"),
        )
    ),
    Entry("hold", "Average hold time", "sum of hold / handled", "s", "down", "leading",
          "operational", _hold, _EFFICIENCY, dimensions=_DIMENSIONS,
          options=(Option("per", "handled", "Per handled call, or per call that was held",
                          ("handled", "held")),)),
    from_figure("occupancy", "Occupancy",
                "(talk + hold + after-call) / (the same + available)", "ratio", "band", "leading",
                "operational", _EFFICIENCY, traps="Too high is bad: 85 to 90 %."),
    from_figure("utilisation", "Utilisation", "handling / paid time", "ratio", "band", "leading",
                "operational", _EFFICIENCY),
    Entry("fcr", "First-contact resolution",
          "resolved with the first contact, without another within the window / contacts",
          "ratio", "up", "lagging", "value", _fcr, _SATISFACTION, audience="customer",
          dimensions=_DIMENSIONS,
          options=(Option("window", "P7D", "When another contact is a repeat",
                          ("P1D", "P3D", "P7D", "P30D")),
                   Option("among", "contacts", "All contacts, or those that are no repeat",
                          ("contacts", "first_contacts"))), convention="Foundever",
          drives=("csat",), traps="By customer, whatever the topic; calls that we make are no "
          "contacts, abandoned ones are; provisional until the window has passed."),
    Entry("csat", "Customer satisfaction", "answers 4 and 5 / all, or the mean", "ratio", "up",
          "lagging", "value", _csat, _SATISFACTION, audience="customer", options=(_MEASURE,),
          unit_of=lambda c: "score" if c["measure"] == "mean" else "ratio",
          dimensions=("topic",), traps="Look at the response rate beside it."),
    Entry("nps", "Net promoter score", "% of 9 and 10 - % of 0 to 6", "score", "up", "lagging",
          "value", _nps, _SATISFACTION, audience="customer", traps="The scale is 0 to 10."),
    Entry("ces", "Customer effort score", "mean of 1 to 7, or share of 5 to 7", "score", "up",
          "lagging", "value", _ces, _SATISFACTION, audience="customer",
          options=(Option("measure", "mean", "The mean, or the share of 5 to 7",
                          ("mean", "top3")),),
          unit_of=lambda c: "score" if c["measure"] == "mean" else "ratio",
          traps="The direction depends on the wording of the question."),
    from_figure("transfer-rate", "Transfer rate", "transfers / handled", "ratio", "down",
                "leading", "operational", _EFFICIENCY),
    from_figure("deflection", "Deflection", "self-served / (self-served + assisted)", "ratio",
                "up", "leading", "operational", _EFFICIENCY),
    from_figure("containment", "Containment", "ended in self-service / self-service contacts",
                "ratio", "up", "leading", "operational", _EFFICIENCY,
                traps="Containment is not resolution."),
    Entry("cost-per-contact", "Cost per contact", "booked costs / handled contacts", "money",
          "down", "leading", "operational",
          lambda c: ratio(total("cost.booked", "amount", eq("category", c["category"])), _HANDLED),
          _EFFICIENCY, options=(Option("category", "contact_centre", "Category of the costs"),)),
    from_figure("adherence", "Adherence", "on-plan time / scheduled time", "ratio", "up",
                "leading", "operational", _EFFICIENCY),
)  # fmt: skip
