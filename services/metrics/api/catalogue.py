"""The catalogue of standard metrics, each installable by one call."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Response
from pydantic import Field

from services.metrics.api.metrics import Metric, shown
from services.metrics.commands.catalogue import demand_choices, install
from services.metrics.domain.catalogue import CATALOGUE, Entry
from services.metrics.domain.catalogue.entry import UNFED
from services.metrics.domain.definition import Definition, own_events, walk
from services.metrics.queries.definitions import DEFINITION
from shared.errors import NOT_FOUND
from shared.ids import did_you_mean
from shared.ledger import Transaction
from shared.web.pages import Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import FilterBody, Key, Wire
from shared.words import Name, Prose

router = make_router("catalogue")


class CatalogueOption(Wire):
    """A choice between competing conventions."""

    name: str = Field(description="Name of the option")
    default: Any = Field(description="What is taken unless something else is chosen")
    meaning: str = Field(description="What is chosen")
    choices: list[Any] = Field(description="The values allowed; empty: any of the default's type")


class CatalogueEntry(Wire):
    """A standard metric."""

    id: str = Field(description="Its id, and its key unless another is given")
    name: str = Field(description="Name for people")
    group: str = Field(description="Where it belongs")
    formula: str = Field(description="How it is computed, in words")
    unit: str = Field(description="Unit of its values with the default options")
    direction: Literal["up", "down", "band", "none"] = Field(description="What is good")
    indicator: Literal["leading", "lagging"] = Field(description="Warning or result")
    nature: Literal["value", "usage", "operational"] = Field(description="Whether it is worth")
    audience: Literal["customer", "prospect", "stakeholder", "business"] = Field(
        description="Whose value it is"
    )
    traps: str = Field(description="What goes wrong easily")
    convention: str = Field(description="Where the definition comes from")
    fed_by_figures: bool = Field(
        description="True when no canonical event carries its parts, so that figures are sent "
        "with `metric.observed`"
    )
    events: list[str] = Field(description="Event types that it reads")
    dimensions: list[str] = Field(description="Fields to group by")
    drives: list[str] = Field(description="Results that it drives, by id")
    options: list[CatalogueOption] = Field(description="Where conventions compete")
    definition: Definition = Field(description="The definition with the default options")


class CatalogueList(Wire):
    """Entries of the catalogue, by id."""

    items: list[CatalogueEntry] = Field(description="Entries")
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last one")


class Install(Wire):
    """How an entry is to be installed; everything may be left out."""

    key: Key | None = Field(None, description="Key of the metric; default: the entry's id")
    name: Name | None = Field(None, description="Name; default: the entry's")
    options: FilterBody = Field(
        default_factory=dict, description="Choices, by option", examples=[{"threshold": 30}]
    )
    unit: Annotated[str, Field(min_length=1, max_length=40)] | None = Field(
        None, description="Another unit, such as EUR instead of money"
    )
    dimensions: list[Annotated[str, Field(min_length=1, max_length=200)]] | None = Field(
        None, max_length=50, description="Other fields to group by"
    )
    cadence: Literal["daily", "weekly", "monthly", "quarterly", "yearly"] | None = Field(
        None, description="How often data arrive; default: the entry's"
    )
    responsible: Name | None = Field(None, description="Who sees to it")
    settles_after: Annotated[int, Field(strict=True, ge=0, le=3_650)] = Field(
        0, description="Days after a period's end until its data are complete"
    )
    reason: Prose = Field("Installed from the catalogue", description="Why it is installed")


def _entry(entry_id: str) -> Entry:
    found = CATALOGUE.get(entry_id.lower().replace("_", "-"))
    if found is None:
        raise NOT_FOUND.refusal(
            f"The catalogue has no {entry_id!r}.{did_you_mean(entry_id, CATALOGUE)}"
        )
    return found


def _shown(entry: Entry) -> CatalogueEntry:
    definition = DEFINITION.validate_python(entry.definition({}))
    events = {
        name
        for _, part in walk(definition)
        if not hasattr(part, "metric")
        for name in own_events(part)
    }
    return CatalogueEntry(
        id=entry.id,
        name=entry.name,
        group=entry.group,
        formula=entry.formula,
        unit=entry.unit,
        direction=entry.direction,
        indicator=entry.indicator,
        nature=entry.nature,
        audience=entry.audience,
        traps=entry.traps,
        convention=entry.convention,
        fed_by_figures=UNFED in entry.traps,
        events=sorted(events),
        dimensions=list(entry.dimensions),
        drives=list(entry.drives),
        options=[
            CatalogueOption(
                name=o.name, default=o.default, meaning=o.meaning, choices=list(o.choices)
            )
            for o in entry.options
        ],
        definition=definition,
    )


@router.get("/catalogue")
def list_catalogue(
    reader: Annotated[Reader, Depends(reads("metrics:read"))],
    pages: Pages,
    group: Annotated[str | None, Query(max_length=100, description="Only of this group")] = None,
    drives: Annotated[
        str | None, Query(max_length=64, description="Only what drives this result")
    ] = None,
) -> CatalogueList:
    """List the standard metrics that are built in."""
    found = [
        entry
        for key, entry in sorted(CATALOGUE.items())
        if key > pages.text_after()
        and group in (None, entry.group)
        and (drives is None or drives in entry.drives)
    ]
    rows = found[: pages.limit + 1]
    return CatalogueList(
        items=[_shown(entry) for entry in rows[: pages.limit]],
        next_cursor=pages.next_cursor(rows, lambda entry: entry.id),
    )


@router.get("/catalogue/{entry_id}")
def get_catalogue_entry(
    entry_id: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> CatalogueEntry:
    """Show a standard metric."""
    return _shown(_entry(entry_id))


@router.post("/catalogue/{entry_id}/install", status_code=201, response_model=Metric)
def install_catalogue_entry(
    entry_id: str, body: Install, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Install a standard metric: it becomes an ordinary one, with its definition, unit,
    direction, guidelines and convention. Installing it again with other options is a new version.
    """
    entry = _entry(entry_id)
    demand_choices(entry, body.options)

    def work(transaction: Transaction) -> Answer:
        saved = install(transaction, entry, body.options, body.model_dump(exclude={"options"}))
        return Answer(shown(saved), 201, saved.version, f"/v1/metrics/{saved.key}")

    return caller.command(work)
