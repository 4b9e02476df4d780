"""Batches that are read at once give the very events that are read one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.metrics.domain.cloudevents import read_cloudevent
from services.metrics.domain.plain import read_plain_batch
from services.metrics.domain.types import CANONICAL, event_type
from shared.chain import parse_json
from shared.events import NewEvent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TYPES = {**CANONICAL, "own.visit": event_type("own.visit", "guest!* room:integer")}
odd = st.sampled_from(["", " ", "a", "/crm", "ä", "x" * 120, "x" * 121, "a\tb", "\x7f", "\u2028"])
times = st.sampled_from([
    "2024-01-31", "2024-01-31T10:00:00Z", "2024-01-31T10:00:00.1234567+01:00", "2024-02-30",
    "2024-01-31T10:00:00", "1899-12-31", "2199-01-01T00:00:00Z", "soon", "2024-01-31t10:00:00z",
])  # fmt: skip
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**16), 10**16), st.text(max_size=5),
    st.sampled_from([1.5, 1e300, -0.0000001, "won", "EUR", "12.50", [1], {"a": 1}, "\x00"]),
)  # fmt: skip
data = st.dictionaries(
    st.sampled_from(["outcome", "amount", "currency", "guest", "room", "own", "expected_close"]),
    values, max_size=4,
)  # fmt: skip
items = st.fixed_dictionaries(
    {
        "specversion": st.sampled_from(["1.0", "1.0", "1.0", "0.3"]), "id": odd, "source": odd,
        "type": st.sampled_from(["crm.opportunity.closed", "own.visit", "crm.lead.created", "x"]),
        "time": times, "data": data,
    },
    optional={"subject": odd, "sequence": odd, "occurredon": st.just("2024-01-01")},
)  # fmt: skip


@given(st.lists(items, max_size=3))
def test_what_is_read_at_once_is_what_is_read_one_by_one(batch: list[dict[str, Any]]) -> None:
    body = json.dumps(batch, ensure_ascii=False).encode()
    at_once = read_plain_batch(body, TYPES, NOW, actor="me", backfill="b")
    one_by_one = [
        read_cloudevent(item, TYPES, NOW, actor="me", backfill="b") for item in parse_json(body)
    ]
    assert at_once is None or at_once == one_by_one
    assert at_once is not None or not _plain(batch, one_by_one)


def _plain(batch: list[dict[str, Any]], read: list[Any]) -> bool:
    """Whether nothing about a batch is out of the ordinary, so that it has to be read at once."""
    texts = [str(item.get(name, "")) for item in batch for name in item]
    return (
        all(isinstance(event, NewEvent) for event in read)
        and all("occurredon" not in item for item in batch)
        and not any("\\" in text or "[" in text or "{" in text or len(text) > 120 or "\x7f" in text
                    for text in texts)
        and all(text.isprintable() for text in texts)
    )  # fmt: skip
