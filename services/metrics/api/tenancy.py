"""The organisation itself: its calendar, its own event types, its credentials, simulated time."""

from __future__ import annotations

from datetime import date, time
from typing import Annotated, Any, Literal

from fastapi import Depends, Response
from pydantic import Field, field_validator, model_validator
from sqlalchemy import select

from services.metrics.api.door import kept_types
from services.metrics.commands.credentials import KeyAuthentication, create_key, revoke_key
from services.metrics.commands.definitions import register_type, set_calendar
from services.metrics.domain.types import EventType as KnownType
from services.metrics.domain.types import event_type
from services.metrics.queries import definitions as queries
from services.metrics.tables import api_keys
from shared.errors import INVALID, Fault
from shared.ledger import Transaction
from shared.money import Currency
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import SCOPES, Answer, Caller, Reader, reads, writes
from shared.web.wire import InstantField, Known, Wire
from shared.words import Name, Prose
from shared.zones import known_zone

router = make_router("organisation")


class Calendar(Wire):
    """How an organisation counts its days."""

    zone: str = Field(
        "UTC", max_length=64, description="IANA time zone", examples=["Europe/Berlin"]
    )
    week_start: Annotated[int, Field(strict=True, ge=1, le=7)] = Field(1, description="1 = Monday")
    fiscal_start_month: Annotated[int, Field(strict=True, ge=1, le=12)] = Field(
        1, description="Month in which the fiscal year starts"
    )
    fiscal_name: Literal["end", "start"] = Field(
        "end", description="A fiscal year is named by the year in which it ends (or starts)"
    )
    fiscal_weeks: Literal["4-4-5", "4-5-4", "5-4-4"] | None = Field(
        None, description="A fiscal year of whole weeks, and how its quarters' months share 13"
    )
    fiscal_begins: Literal["nearest", "on_or_before"] = Field(
        "nearest",
        description="With fiscal weeks: the year begins on the week start nearest to the first of "
        "the month, or on the last one not after it",
    )
    business_days: list[Annotated[int, Field(strict=True, ge=1, le=7)]] = Field(
        default=[1, 2, 3, 4, 5], min_length=1, max_length=7, description="Working days, 1 = Monday"
    )
    business_opens: time = Field(time(9), description="When a working day begins, local time")
    business_closes: time = Field(
        time(17), description="When it ends, local time; 00:00 is the following midnight"
    )
    holidays: list[date] = Field(
        default_factory=list, max_length=5_000, description="Days that are no working days"
    )
    currency: Currency = Field("EUR", description="Reporting currency")
    reason: Prose = Field("", description="Why it is counted like this")

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        if not known_zone(zone):
            raise ValueError(f"{zone!r} is no IANA time zone such as Europe/Berlin")
        return zone

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Calendar:
        for moment in (self.business_opens, self.business_closes):
            if moment.second or moment.microsecond or moment.tzinfo:
                raise ValueError("business hours are local times in whole minutes, such as 09:00")
        if self.business_closes != time(0) and self.business_opens >= self.business_closes:
            raise ValueError("`business_opens` must lie before `business_closes`")
        return self


class CalendarAnswer(Known):
    """The calendar as known at a basis."""

    calendar: Calendar = Field(description="The calendar in force")
    version: int = Field(ge=0, description="0 until it is first set")


class TypeField(Wire):
    """A field of an event type."""

    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,63}$")] = Field(description="Its name")
    kind: Literal["text", "number", "integer", "boolean", "currency", "date", "list"] = Field(
        "text", description="What it holds"
    )
    required: bool = Field(False, description="Must be there")
    personal: bool = Field(False, description="Kept apart, never counted or grouped, erasable")


class NewEventType(Wire):
    """An event type of the tenant's own."""

    name: Annotated[
        str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$", max_length=100)
    ] = Field(description="Its name, in the past tense", examples=["acme.ticket.rated"])
    fields: list[TypeField] = Field(max_length=100, description="Its fields")


class EventType(NewEventType):
    """An event type that senders may use."""

    schema_number: int = Field(ge=1, description="Number of its present shape")


class NewKey(Wire):
    """A key to be made."""

    name: Name = Field(description="What it is for")
    scopes: list[str] = Field(min_length=1, max_length=20, description=f"Of: {', '.join(SCOPES)}")
    person: Name | None = Field(None, description="The person who uses it")
    expires_at: InstantField | None = Field(None, description="When it ends by itself")

    @field_validator("scopes")
    @classmethod
    def _known(cls, scopes: list[str]) -> list[str]:
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown:
            raise ValueError(f"{', '.join(unknown)} is no scope; there are {', '.join(SCOPES)}")
        return scopes


class Credential(Wire):
    """A credential without its secret."""

    key_id: str = Field(description="Id of the key")
    name: str = Field(description="What it is for")
    person: str | None = Field(description="The person who uses it")
    scopes: list[str] = Field(description="What it may do")


class CredentialSelf(Credential):
    """The credential that asks."""

    tenant_id: str = Field(description="The organisation that it belongs to")


class CreatedKey(Credential):
    """A new key; the secret is shown this once."""

    key: str = Field(description="The key itself")


class ListedKey(Credential):
    """A key in the list."""

    created_at: InstantField = Field(description="When it was made")
    expires_at: InstantField | None = Field(description="When it ends by itself")
    revoked_at: InstantField | None = Field(description="When it was revoked")
    last_used_at: InstantField | None = Field(description="Last use, to the minute")


@router.get("/calendar")
def get_calendar(reader: Annotated[Reader, Depends(reads("metrics:read"))]) -> CalendarAnswer:
    """Show the calendar."""
    with reader.view() as view:
        found = queries.calendar_set(view)
        stated = found.model_dump(exclude={"version", "transitions"}) if found else {}
        return CalendarAnswer(
            calendar=Calendar(**stated),
            version=found.version if found else 0,
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.put("/calendar", response_model=CalendarAnswer)
def put_calendar(
    body: Calendar, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Set the calendar; answers about earlier knowledge keep the calendar of their time."""

    def work(transaction: Transaction) -> Answer:
        present = queries.calendar_set(transaction)
        caller.demand_revision(present.version if present else 0)
        saved = set_calendar(transaction, body.model_dump())
        answer = CalendarAnswer(
            calendar=body,
            version=saved.version,
            known_at=transaction.known_at,
            basis=transaction.basis.token,
            open=True,
        )
        return Answer(answer, 200, saved.version)

    return caller.command(work)


@router.get("/event-types")
def list_event_types(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[EventType]:
    """List the event types that senders may use: canonical ones and the organisation's own."""
    with reader.view() as view:
        known = sorted(queries.types(view).items())
        rows = [kind for name, kind in known if name > pages.text_after()][: pages.limit + 1]
        return pages.page(view, rows, lambda kind: kind.name, _shown_type)


def _shown_type(kind: KnownType) -> EventType:
    return EventType(
        name=kind.name,
        schema_number=kind.schema_number,
        fields=[
            TypeField.model_construct(
                name=f.name,
                kind=f.kind,  # type: ignore[arg-type]
                required=f.required,
                personal=f.personal,
            )
            for f in kind.fields.values()
        ],
    )


@router.post("/event-types", status_code=201, response_model=EventType)
def register_event_type(
    body: NewEventType, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Register an event type of your own; a changed shape becomes a new schema number.

    From the answer on every event is read as this says: personal fields are kept apart.
    """
    names = [f.name for f in body.fields]
    if len(set(names)) < len(names):
        raise INVALID.refusal(
            "Two fields have one name.", [Fault("/fields", "Names repeat.", "repeated")]
        )
    spec = " ".join(f"{f.name}{'!' * f.required}{'*' * f.personal}:{f.kind}" for f in body.fields)

    def work(transaction: Transaction) -> Answer:
        saved = register_type(transaction, body.name, spec)
        assert event_type(saved.name, saved.spec).name == body.name
        answer = EventType(**body.model_dump(), schema_number=saved.schema_number)
        return Answer(answer, 201, saved.schema_number)

    answer = caller.command(work)
    kept_types(caller.runtime).settle(caller.tenant_id)
    return answer


@router.get("/credentials/self")
def get_own_credential(
    reader: Annotated[Reader, Depends(reads(None))],
) -> CredentialSelf:
    """Show what the credential that asks stands for."""
    principal = reader.principal
    return CredentialSelf(
        tenant_id=str(principal.tenant_id),
        key_id=principal.key_id,
        name=principal.name,
        person=principal.person,
        scopes=sorted(principal.scopes),
    )


@router.post("/keys", status_code=201, response_model=CreatedKey)
def create_api_key(body: NewKey, caller: Annotated[Caller, Depends(writes("admin"))]) -> Response:
    """Make an API key; the key itself is shown this once."""

    def work(transaction: Transaction) -> Answer:
        key_id, key = create_key(
            transaction.connection,
            transaction.tenant_id,
            body.name,
            body.scopes,
            transaction.known_at,
            person=body.person,
            expires_at=body.expires_at,
        )
        shown = body.model_dump(exclude={"expires_at"})
        return Answer(CreatedKey(**shown, key_id=key_id, key=key), 201)

    caller.demand_no_replay()
    return caller.command(work)


@router.get("/keys")
def list_api_keys(
    reader: Annotated[Reader, Depends(reads("admin"))], pages: Pages
) -> Page[ListedKey]:
    """List API keys, without their secrets."""
    with reader.view() as view:
        rows = view.connection.execute(
            select(api_keys)
            .where(api_keys.c.tenant_id == view.tenant_id, api_keys.c.key_id > pages.text_after())
            .order_by(api_keys.c.key_id)
            .limit(pages.limit + 1)
        ).all()
        return pages.page(view, rows, lambda row: row.key_id, _listed)


def _listed(row: Any) -> ListedKey:
    return ListedKey(
        key_id=row.key_id,
        name=row.name,
        person=row.person,
        scopes=row.scopes.split(),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )


@router.delete("/keys/{key_id}", status_code=204)
def revoke_api_key(key_id: str, caller: Annotated[Caller, Depends(writes("admin"))]) -> Response:
    """Revoke an API key; other processes and services notice within a minute."""
    with caller.transaction() as transaction:
        revoke_key(transaction.connection, transaction.tenant_id, key_id, transaction.known_at)
    authentication = caller.runtime.authenticate
    assert isinstance(authentication, KeyAuthentication)
    authentication.forget(key_id)
    return Response(status_code=204)
