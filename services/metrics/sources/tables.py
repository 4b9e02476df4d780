"""Tables as files: CSV of any dialect and encoding, and XLSX; every cell as text."""

from __future__ import annotations

import csv
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import dropwhile, islice
from typing import Any

from services.metrics.domain.mapping import PlainNumber
from shared.errors import invalid

MAX_ROWS = 200_000
# What a workbook may unpack to; a small archive can hold far more than it seems.
MAX_UNPACKED = 300_000_000
MAX_COLUMNS = 500
_DELIMITERS = ",;\t|"
_SAMPLE, _SAMPLE_ROWS = 65_536, 50
_SEPARATOR_LINE = re.compile(r"\ufeff?sep=([,;\t|])\r?\n", re.IGNORECASE)
_ZIP = b"PK\x03\x04"
# What reading an archive that is no workbook, or a broken one, ends in.
_NO_WORKBOOK = (
    zipfile.BadZipFile, zlib.error, SyntaxError, EOFError, LookupError,
    ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class File:
    """An uploaded table as it came; `sheet` names one of a workbook's (default: the first)."""

    name: str
    content: bytes
    encoding: str | None = None
    sheet: str | None = None

    @property
    def is_workbook(self) -> bool:
        return self.content[:4] == _ZIP


@dataclass(frozen=True, slots=True)
class Table:
    """A header and its rows, and how they were written."""

    header: list[str]
    rows: list[list[str]]
    encoding: str
    delimiter: str | None


def read_table(file: File) -> Table:
    """The header and rows of a file; refuses what is no table."""
    table = _workbook(file) if file.is_workbook else _csv(file)
    if not any(table.header):
        raise invalid("/file", f"{file.name} has no header row.", "empty")
    if len(table.rows) >= MAX_ROWS:
        raise invalid("/file", f"At most {MAX_ROWS} rows at once; split the file.", "too_long")
    return table


def _csv(file: File) -> Table:
    text, encoding = _decoded(file)
    if "\x00" in text:
        raise invalid("/file", f"{file.name} holds NUL characters; it is no CSV file.", "csv")
    # Some spreadsheets say their delimiter in a line before the header.
    said = _SEPARATOR_LINE.match(text)
    text = text[said.end() :] if said else text
    delimiter = said[1] if said else _delimiter(text)
    try:
        rows = list(_read(text, delimiter))
    except csv.Error as error:
        raise invalid("/file", f"{file.name} is no CSV: {error}.", "csv") from error
    rows = _from_header(rows)
    header = _distinct([name.strip() for name in rows[0]]) if rows else []
    return Table(header, rows[1:], encoding, delimiter)


def _read(text: str, delimiter: str) -> Iterator[list[str]]:
    # Quotes are double ones: an apostrophe is a letter of many names.
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)


def _delimiter(text: str) -> str:
    """The delimiter by which most of the first rows are as wide as the header."""
    sample = text[:_SAMPLE]

    def fits(delimiter: str) -> tuple[int, int]:
        try:
            first, *rest = islice(filter(any, _read(sample, delimiter)), _SAMPLE_ROWS)
        except (csv.Error, ValueError):
            return 0, 0
        if len(first) < 2:
            return 0, 0
        return 1 + sum(len(row) == len(first) for row in rest), len(first)

    return max(_DELIMITERS, key=fits)


def _from_header(rows: list[list[str]]) -> list[list[str]]:
    """The rows from the first on that holds anything."""
    return list(dropwhile(lambda row: not any(cell.strip() for cell in row), rows))


def _distinct(header: list[str]) -> list[str]:
    """Names of columns, of which a repeated one has its number behind it."""
    seen: Counter[str] = Counter()
    found = []
    for name in header:
        seen[name] += 1
        found.append(name if seen[name] == 1 or not name else f"{name} ({seen[name]})")
    return found


def _decoded(file: File) -> tuple[str, str]:
    """A file's text and the encoding that it was read in.

    UTF-8 and what has a byte order mark tell themselves. Other files are taken for Windows-1252
    unless the sender says otherwise: a guess from a few letters would be wrong in silence.
    """
    for encoding in _encodings(file):
        try:
            return file.content.decode(encoding), encoding
        except (LookupError, ValueError):
            continue
    detail = f"{file.name} can't be read as {' or '.join(_encodings(file))}; say its `encoding`."
    raise invalid("/encoding", detail, "encoding")


def _encodings(file: File) -> tuple[str, ...]:
    if file.encoding is not None:
        return (file.encoding,)
    if file.content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return ("utf-16",)
    return ("utf-8-sig", "cp1252")


def _workbook(file: File) -> Table:
    # A tenth of what a process takes to start, and few files are workbooks.
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_UNPACKED:
                raise invalid("/file", f"{file.name} unpacks to far too much.", "too_long")
        book = load_workbook(io.BytesIO(file.content), read_only=True, data_only=True)
        names = book.sheetnames
        if file.sheet is not None and file.sheet not in names:
            detail = f"{file.name} has no sheet {file.sheet!r}; there are {', '.join(names)}."
            raise invalid("/sheet", detail, "unknown_sheet")
        rows = list(_cells(book[file.sheet or names[0]]))
    except _NO_WORKBOOK as error:
        raise invalid("/file", f"{file.name} is no XLSX workbook: {error}.", "xlsx") from error
    rows = _from_header(rows)
    header = _distinct([name.strip() for name in rows[0]]) if rows else []
    while header and not header[-1]:
        header.pop()
    width = len(header)
    filled = [(row + [""] * width)[: max(width, _last(row))] for row in rows[1:]]
    return Table(header, filled, "xlsx", None)


def _cells(sheet: Any) -> Iterator[list[str]]:
    for number, row in enumerate(sheet.iter_rows(max_col=MAX_COLUMNS, values_only=True)):
        if number > MAX_ROWS:
            return
        yield [as_text(value) for value in row]


def _last(row: Sequence[str]) -> int:
    """The number of cells up to the last one that is not empty."""
    return max((place + 1 for place, cell in enumerate(row) if cell), default=0)


def as_text(value: Any) -> str:
    """A cell as it would stand in a CSV file: ISO dates, plain numbers."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            # Spreadsheets know no dates, only midnights.
            return value.date().isoformat() if value.time() == time() else value.isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(Decimal(str(value.total_seconds())).normalize())
        case float():
            number = Decimal(repr(value))
            whole = number == number.to_integral_value()
            return PlainNumber(format(number.quantize(Decimal(1)) if whole else number, "f"))
        case int():
            return PlainNumber(str(value))
        case _:
            return str(value)


# What a column's cells look like, from the narrowest to the widest reading.
_SHAPES = {
    "date": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "date (day.month.year)": re.compile(r"\d{1,2}\.\d{1,2}\.\d{2,4}"),
    "date (month/day/year or day/month/year)": re.compile(r"\d{1,2}/\d{1,2}/\d{2,4}"),
    "time": re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}.*"),
    "integer": re.compile(r"[+-]?\d+"),
    "decimal": re.compile(r"[+-]?\d*\.\d+"),
    "decimal comma": re.compile(r"[+-]?\d{1,3}(\.\d{3})*,\d+|[+-]?\d+,\d+"),
    "decimal with thousands": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?"),
    "boolean": re.compile(r"true|false|yes|no|y|n", re.IGNORECASE),
}


def shape_of(cells: Sequence[str]) -> str:
    """What the cells of a column have in common; `text` where nothing, `empty` without any."""
    told = [cell.strip() for cell in cells if cell.strip()]
    if not told:
        return "empty"
    for name, pattern in _SHAPES.items():
        if all(pattern.fullmatch(cell) for cell in told):
            return name
    numbers = (_SHAPES["integer"], _SHAPES["decimal"])
    if all(any(p.fullmatch(cell) for p in numbers) for cell in told):
        return "decimal"
    commas = (_SHAPES["integer"], _SHAPES["decimal comma"])
    if all(any(p.fullmatch(cell) for p in commas) for cell in told):
        return "decimal comma"
    return "text"
