"""Mappings that are built in, by name, for exports of a known shape."""

from __future__ import annotations

from typing import Any

from services.metrics.domain.mapping import Mapping

_CRM_OPPORTUNITIES = {
    "lookups": {
        "region": {
            "file": "sales_teams.csv",
            "key": "sales_agent",
            "value": "regional_office",
            "optional": True,
        }
    },
    "events": [
        {
            "type": "crm.opportunity.opened",
            "when": {"field": "engage_date", "op": "exists"},
            "id": "{opportunity_id}/opened",
            "subject": "opportunity/{opportunity_id}",
            "sequence": "{exported_at}",
            "time": {"column": "engage_date"},
            "data": {
                "owner": "sales_agent",
                "account": "account",
                "product": "product",
                "region": {"column": "sales_agent", "lookup": "region"},
            },
        },
        {
            "type": "crm.opportunity.closed",
            "when": {"field": "close_date", "op": "exists"},
            "id": "{opportunity_id}/closed",
            "subject": "opportunity/{opportunity_id}",
            "sequence": "{exported_at}",
            "time": {"column": "close_date"},
            "data": {
                "outcome": {"column": "deal_stage", "map": {"Won": "won", "Lost": "lost"}},
                "amount": {"column": "close_value", "as": "decimal"},
                "currency": {"value": "{currency}"},
                "owner": "sales_agent",
                "account": "account",
                "product": "product",
                "region": {"column": "sales_agent", "lookup": "region"},
            },
        },
    ],
}
_YES_NO = {"Y": "true", "N": "false"}


def _calls(
    identity: str, agent: str, day: str, topic: str, answered: str, resolved: str, wait: str,
    talk: str, rating: str,
) -> dict[str, Any]:  # fmt: skip
    """Calls of a contact centre with their rating, under whatever names the columns have."""
    return {
        "events": [
            {
                "type": "contact.call.completed", "id": f"{{{identity}}}",
                "subject": f"call/{{{identity}}}", "sequence": "{exported_at}",
                "time": {"column": day},
                "data": {
                    "agent": agent, "topic": topic,
                    "abandoned": {"column": answered, "map": {"Y": "false", "N": "true"},
                                  "as": "boolean"},
                    "resolved": {"column": resolved, "map": _YES_NO, "as": "boolean"},
                    "wait": {"column": wait, "as": "decimal"},
                    "talk": {"column": talk, "as": "decimal"},
                },
            },
            {
                "type": "survey.response.received", "id": f"{{{identity}}}/rating",
                "subject": f"call/{{{identity}}}", "sequence": "{exported_at}",
                "when": {"field": rating, "op": "exists"}, "time": {"column": day},
                "data": {"kind": {"value": "csat"}, "topic": topic,
                         "score": {"column": rating, "as": "decimal"}},
            },
        ]
    }  # fmt: skip


_CAMPAIGNS = {
    "events": [
        {
            "type": "marketing.spend.recorded", "id": "{id}", "sequence": "{exported_at}",
            "time": {"column": "c_date"},
            "data": {
                "campaign": {"column": "campaign_name", "case": "lower"}, "channel": "category",
                "amount": {"column": "mark_spent", "as": "decimal"},
                "currency": {"value": "{currency}"},
                **{name: {"column": name, "as": "decimal"}
                   for name in ("impressions", "clicks", "leads", "orders", "revenue")},
            },
        }
    ]
}  # fmt: skip
_STAGE_HISTORY = {
    "rows": {"skip_when": {"field": "IsDeleted", "value": "TRUE"}},
    "events": [
        {
            "type": "crm.opportunity.stage_changed", "id": "{Id}",
            "subject": "opportunity/{OpportunityId}", "sequence": "{exported_at}",
            "time": {"column": "CreatedDate", "format": "%m/%d/%y %I:%M %p", "zone": "UTC"},
            "data": {"stage": "StageName", "amount": {"column": "Amount", "as": "decimal"},
                     "currency": {"value": "{currency}"}},
        }
    ],
}  # fmt: skip
_ORDERS = {
    "events": [
        {
            "type": "commerce.order.placed", "id": "{order_no}", "subject": "order/{order_no}",
            "sequence": "{exported_at}", "time": {"column": "created", "zone": "UTC"},
            "data": {
                "site": "site", "brand": "brand", "customer": "customer_no", "channel": "channel",
                "segment": {"column": "customer_type", "case": "lower"},
                "amount": {"column": "total", "as": "decimal"},
                "currency": {"column": "currency", "value": "{currency}"},
            },
        }
    ]
}  # fmt: skip


def _issue(kind: str, column: str) -> dict[str, Any]:
    return {
        "type": f"work.item.{kind}", "id": f"{{key}}/{kind}", "subject": "item/{key}",
        "sequence": "{exported_at}", "when": {"field": column, "op": "exists"},
        "time": {"column": column, "zone": "UTC"},
        "data": {"item": "key", "team": "team",
                 "type": {"column": "type", "case": "lower", "map": {
                     "feature": "feature", "story": "feature", "improvement": "feature",
                     "bug": "defect", "defect": "defect", "risk": "risk", "debt": "debt"}}},
    }  # fmt: skip


_FIGURES = {
    "events": [
        {
            "type": "metric.observed", "id": "{figure}/{date}", "sequence": "{exported_at}",
            "time": {"column": "date"},
            "data": {"figure": "figure", "value": {"column": "value", "as": "decimal"}},
        }
    ]
}  # fmt: skip
_CALL_COLUMNS = ("call_id", "agent", "date", "topic", "answered", "resolved", "speed_of_answer_s",
                 "talk_s", "satisfaction")  # fmt: skip
_CALL_TITLES = ("Call Id", "Agent", "Date", "Topic", "Answered (Y/N)", "Resolved",
                "Speed of answer in seconds", "Talk Duration (Seconds)",
                "Satisfaction rating")  # fmt: skip
_BUILT_IN: dict[str, dict[str, Any]] = {
    "crm-opportunities": _CRM_OPPORTUNITIES,
    "salesforce-opportunity-history": _STAGE_HISTORY,
    "call-records": _calls(*_CALL_COLUMNS),
    "call-workbook": _calls(*_CALL_TITLES),
    "campaign-spend": _CAMPAIGNS,
    "orders": _ORDERS,
    "issues": {"events": [_issue("started", "started"), _issue("completed", "completed")]},
    "figures": _FIGURES,
}
# The columns that tell a preset's shape; all of them must stand in the header.
PRESET_COLUMNS: dict[str, tuple[str, ...]] = {
    "crm-opportunities": (
        "opportunity_id", "sales_agent", "product", "account", "deal_stage", "engage_date",
        "close_date", "close_value",
    ),
    "salesforce-opportunity-history": ("Id", "OpportunityId", "CreatedDate", "StageName"),
    "call-records": _CALL_COLUMNS,
    "call-workbook": _CALL_TITLES,
    "campaign-spend": ("id", "c_date", "campaign_name", "category", "mark_spent"),
    "orders": ("order_no", "created", "site", "brand", "customer_no", "customer_type", "total",
               "currency"),
    "issues": ("key", "type", "team", "started", "completed"),
    "figures": ("figure", "date", "value"),
}  # fmt: skip
PRESETS: dict[str, Mapping] = {
    name: Mapping.model_validate(rules) for name, rules in _BUILT_IN.items()
}
