"""Columns of cells: stored narrow they come back whole, and what is added up is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.metrics.domain.definition import Simple
from services.metrics.replay.cells.chunk import (
    EVERY_MONTH,
    FEW_MONTHS,
    Chunk,
    apart,
    as_kept,
    decode,
    merged,
    month_of,
)
from services.metrics.replay.cells.columns import (
    added_up,
    carried,
    digest_bytes,
    limbs_of,
    narrow,
    split,
    whole_sum,
    widened,
)
from services.metrics.replay.cells.folding import fold
from services.metrics.replay.cells.series import Series
from services.metrics.replay.cells.sheet import Sheet, Told
from shared.chain import canonical_json
from shared.clock import from_micros
from shared.periods import Calendar

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
columns = st.one_of(
    st.lists(INT64, max_size=30).map(lambda values: np.array(values, dtype="<i8")),
    st.lists(st.integers(0, (1 << 64) - 1), max_size=30).map(lambda v: np.array(v, dtype="<u8")),
    st.lists(st.integers(-9, 9), max_size=30).map(lambda v: np.array(v, dtype="i1")),
    st.tuples(INT64, st.lists(st.integers(0, 99), max_size=30)).map(
        lambda told: np.array([max(told[0] - 10**9 * n, -(1 << 63)) for n in told[1]], dtype="<i8")
    ),
)


@given(column=columns)
def test_a_column_comes_back_as_it_was(column: np.ndarray) -> None:
    again = widened(narrow(column), column.dtype.str)
    assert again.tolist() == column.tolist()
    assert again.dtype == column.dtype


def test_a_column_takes_the_bytes_that_its_steps_need() -> None:
    whole_seconds = np.arange(0, 200 * 10**6, 10**6, dtype="<i8") + 1_700_000_000_000_000
    assert len(narrow(whole_seconds).body) == 200
    assert narrow(np.full(1_000, 7)).body == b""


@given(
    told=st.lists(
        st.tuples(
            st.integers(0, 3), st.integers(-(10**21), 10**21), st.binary(min_size=32, max_size=32),
            st.sampled_from([1, -1]),
        ),
        min_size=1, max_size=40,
    )
)  # fmt: skip
def test_sums_and_digests_are_those_of_whole_numbers(
    told: list[tuple[int, int, bytes, int]],
) -> None:
    high, low = split([value for _, value, _, _ in told])
    sign = np.array([sign for *_, sign in told], dtype=np.int64)
    limbs = limbs_of(b"".join(leaf for _, _, leaf, _ in told)) * sign[:, None]
    table = {"count": sign, "high": high * sign, "low": low * sign, "limbs": limbs}
    codes, sums = added_up(np.array([code for code, *_ in told]), table, tuple(table))
    sums = carried(sums)
    for place, code in enumerate(codes.tolist()):
        mine = [one for one in told if one[0] == code]
        digest = sum(sign * int.from_bytes(leaf, "big") for _, _, leaf, sign in mine) % (1 << 256)
        assert whole_sum(sums["high"], sums["low"], place) == sum(v * s for _, v, _, s in mine)
        assert int(sums["count"][place]) == sum(s for *_, s in mine)
        assert digest_bytes(sums["limbs"][place : place + 1]) == digest.to_bytes(32, "big")


def told(position: int, **fields: Any) -> Told:
    at = 1_700_000_000_000_000 + position * 10**9
    leaf = position.to_bytes(32, "big")
    return (position, "deal", f"s{position % 5}", "/crm", at, None, leaf, canonical_json(fields))


def series(**leaf: Any) -> Series:
    return Series(Simple(**{"kind": "count", "events": ["deal"], **leaf}), ("region",), Calendar())


def test_values_that_are_equal_to_python_are_keys_apart() -> None:
    rows = [told(n, region=region) for n, region in enumerate([1, True, "1", None, [1], {"a": 1}])]
    chunk = folded(series(), Sheet(rows, [], Calendar()))
    assert len(chunk.keys) == 6
    assert chunk.sums["count"].tolist() == [1] * 6


def test_chunks_merged_are_the_chunk_of_all_their_events() -> None:
    """Whatever the form: sums, values, texts or events, in whatever order keys come first."""
    rows = [told(n, region="ns"[n * 7 % 3 == 0], amount=n) for n in range(40)]
    for one in (
        series(kind="sum", field="amount"),
        series(kind="max", field="amount"),
        series(kind="distinct"),
        series(per_subject="last_in_period"),
    ):
        every = folded(one, Sheet(rows, [], Calendar()))
        halves = [folded(one, Sheet(part, [], Calendar())) for part in (rows[:13], rows[13:])]
        parts = [decode(body, one.form) for half in halves for body in [half.encode()] if body]
        assert _told(merged(one.form, parts)) == _told(every)


def test_sums_that_could_be_too_large_for_their_columns_are_not_answered_from() -> None:
    one = series(kind="sum", field="+".join(["a"] * 100))
    for number, wide in ((1_000, False), (2_000, True)):
        rows = [(*told(1)[:-1], canonical_json({"a": 10**15 - 1})) for _ in range(number)]
        chunk = folded(one, Sheet(rows, [], Calendar()))
        assert bool(chunk.wide) is wide
    chunk = folded(one, Sheet(rows[:1_000], [], Calendar()))
    assert whole_sum(chunk.sums["high"], chunk.sums["low"], 0) == 1_000 * 100 * (10**15 - 1) * 10**6


@given(
    zone=st.sampled_from(["America/St_Johns", "America/Sao_Paulo", "Antarctica/Casey",
                          "Europe/Berlin", "Pacific/Apia", "America/Moncton"]),
    seconds=st.lists(st.integers(900_000_000, 1_300_000_000), min_size=1, max_size=20),
)  # fmt: skip
def test_the_days_of_a_sheet_are_the_calendars(zone: str, seconds: list[int]) -> None:
    days = Calendar(zone=zone)
    changes = [second + around for second, _ in days.offsets for around in (-3_600, 0, 1_800, 7_200)
               if 900_000_000 < second < 1_300_000_000]  # fmt: skip
    moments = [second * 1_000_000 for second in (*seconds, *changes)]
    rows = [(n, "deal", None, "/crm", at, None, bytes(32), "{}") for n, at in enumerate(moments)]
    expected = [days.day_of(from_micros(at)).toordinal() for at in moments]
    assert Sheet(rows, [], days).day.tolist() == expected


def test_of_what_came_and_went_nothing_is_left() -> None:
    rows = [told(n, region="n", amount=n) for n in range(5)]
    chunk = folded(series(kind="sum", field="amount"), Sheet(rows, rows, Calendar()))
    assert chunk.encode() is None


@given(days=st.lists(st.integers(0, 400), min_size=1, max_size=30), kind=st.integers(0, 3))
def test_chunks_by_month_are_together_the_chunk_of_all_months(days: list[int], kind: int) -> None:
    one = (
        series(kind="sum", field="amount"), series(kind="max", field="amount"),
        series(kind="distinct"), series(per_subject="last_in_period"),
    )[kind]  # fmt: skip
    rows = [
        (position, *told(position, region="ns"[day % 2], amount=position)[1:4],
         1_700_000_000_000_000 + day * 86_400_000_000, *told(position, amount=1)[5:])
        for position, day in enumerate(days)
    ]  # fmt: skip
    chunk = folded(one, Sheet(rows, [], Calendar()))
    parts = apart(chunk)
    for month, part in parts.items():
        assert {month_of(day) for day in part.days().tolist()} == {month}
        assert len(part.keys) == len(set(part.keys))
    assert _told(merged(one.form, list(parts.values()))) == _told(chunk)
    kept = as_kept(chunk)
    assert set(kept) == ({EVERY_MONTH} if len(parts) > FEW_MONTHS else set(parts))


def test_days_that_are_too_wide_spoil_no_other_days() -> None:
    wide = (*told(1)[:-1], canonical_json({"amount": 10**14}))
    later = (2, *told(2)[1:4], told(1)[4] + 40 * 86_400_000_000, *told(2)[5:7],
             canonical_json({"amount": 1}))  # fmt: skip
    chunk = folded(series(kind="max", field="amount"), Sheet([wide, later], [], Calendar()))
    (day,) = chunk.wide
    assert chunk.is_wide(day, day + 1)
    assert not chunk.is_wide(day + 1, day + 1_000)
    first, second = apart(chunk).values()
    assert (list(first.wide), list(second.wide)) == ([day], [])
    again = merged("values", [first, second])
    assert list(again.wide) == [day]


def folded(one: Series, sheet: Sheet) -> Chunk:
    chunk = fold(one, sheet)
    assert chunk is not None
    return chunk


def _told(chunk: Chunk) -> Any:
    """What a chunk says, in whatever order."""
    keys = np.array(chunk.keys)
    sums = {name: chunk.sums[name].tolist() for name in ("day", "count", "high", "low", "limbs")}
    by_day = zip(keys[chunk.sums["key"]].tolist(), *sums.values(), strict=True)
    rows = [keys[chunk.rows["key"]].tolist()] if chunk.rows.size else []
    rows += [chunk.rows[name].tolist() for name in chunk.rows if name != "key"]
    leaves = sorted(chunk.leaves.tolist())
    return sorted(map(str, by_day)), sorted(map(str, zip(*rows, strict=True))), leaves
