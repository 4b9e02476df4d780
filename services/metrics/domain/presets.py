"""Mappings that are built in, by name, for exports of a known shape."""

from __future__ import annotations

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
# The columns that tell a preset's shape; all of them must stand in the header.
PRESET_COLUMNS = {
    "crm-opportunities": (
        "opportunity_id", "sales_agent", "product", "account", "deal_stage", "engage_date",
        "close_date", "close_value",
    ),
}  # fmt: skip
PRESETS: dict[str, Mapping] = {"crm-opportunities": Mapping.model_validate(_CRM_OPPORTUNITIES)}
