"""Sources, their webhook addresses, and what they delivered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args

from fastapi import Depends, Response
from pydantic import Field, ValidationError

from services.metrics.api import jobs
from services.metrics.commands import loading
from services.metrics.commands.credentials import REST_ADDRESS, REST_KEY, Vault, rotate_token
from services.metrics.commands.definitions import describe_source
from services.metrics.commands.inbox import Addresses
from services.metrics.commands.reading_back import ReadsBack
from services.metrics.connectors.kinds import CONNECTORS
from services.metrics.domain.facts import SourceDescribed
from services.metrics.domain.mapping import Mapping
from services.metrics.queries import definitions as queries
from services.metrics.queries.seen import MappingEffect, Traffic, effect, traffic
from services.metrics.sources.vendors import VENDORS, crm_mapping
from shared.closed import faults_of
from shared.errors import CONFLICT, INVALID, Fault, invalid
from shared.ledger import Transaction
from shared.web.client import is_address
from shared.web.pages import Page, Pages
from shared.web.routes import router as make_router
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Change, InstantField, Key, Known, Wire
from shared.words import Prose, Reason

router = make_router("sources")
SourceKind = Literal[
    "hubspot", "salesforce-outbound", "salesforce-events", "dataverse", "pipedrive", "bitrix24",
    "kommo", "superoffice", "zendesk", "amazon-connect", "genesys", "twilio", "standard-webhooks",
    "cloudevents", "files",
]  # fmt: skip
assert {*get_args(SourceKind)} == {*VENDORS, "files"}, "every vendor can be connected"
RestUrl = Annotated[str, Field(max_length=1_000, pattern=r"^https?://[^/\s]+/")]
Secret = Annotated[str, Field(min_length=8, max_length=500)]


class NewSource(Wire):
    """A system that sends events."""

    key: Key = Field(description="Readable key", examples=["hubspot-eu"])
    kind: SourceKind = Field(description="What sends: decides signature and shape")
    secrets: list[Secret] = Field(
        default_factory=list,
        max_length=2,
        description="Valid secrets (two during a rotation); never returned",
    )
    mapping: dict[str, Any] = Field(
        default_factory=dict,
        description="What the system's own names mean: for CRMs `pipelines` (pipeline -> stage -> "
        "open, won or lost), `currency`, `lead`; else the mapping grammar of imports",
    )
    public_url: Annotated[str, Field(max_length=1_000, pattern=r"^https?://[^?#\s]+$")] | None = (
        Field(None, description="Address that the vendor signs, where a proxy changes it")
    )
    rest_url: RestUrl | None = Field(
        None,
        description="Address of the system's REST interface, to read back what it only names, what "
        "was lost and its history (Bitrix24, HubSpot, Pipedrive, Salesforce, SuperOffice); sealed, "
        "since a Bitrix24 address holds the key; HubSpot and Pipedrive need none",
    )
    rest_key: Secret | None = Field(
        None,
        description="Key to that interface: HubSpot's access token, Pipedrive's API token, "
        "Salesforce's `client_id:client_secret`, SuperOffice's access token (on site "
        "`user:password`); sealed, never returned",
    )
    reason: Prose = Field("", description="Why it is described like this")


class SourceChange(Change):
    """What should change; what is left out stays."""

    secrets: list[Secret] | None = Field(
        None, min_length=1, max_length=2, description="Valid secrets"
    )
    mapping: dict[str, Any] | None = Field(None, description="New mapping")
    public_url: Annotated[str, Field(max_length=1_000, pattern=r"^https?://[^?#\s]+$")] | None = (
        Field(None, description="Address that the vendor signs")
    )
    state: Literal["active", "retired"] | None = Field(None, description="Retired: takes no more")
    rest_url: RestUrl | None = Field(None, description="Address to read back from; sealed")
    rest_key: Secret | None = Field(None, description="Key to read back with; sealed")
    reason: Reason = Field(description="Why it changes")


class Source(Wire):
    """A source as it is described."""

    key: str = Field(description="Readable key")
    kind: str = Field(description="What sends")
    state: Literal["active", "retired"] = Field(description="Whether it takes deliveries")
    mapping: dict[str, Any] = Field(description="What its own names mean")
    public_url: str | None = Field(description="Address that the vendor signs")
    revision: int = Field(ge=1, description="Revision of the description")
    webhook_path: str | None = Field(
        None,
        description="Path of the webhook address: shown when made or rotated, then never again",
    )


class SourceAnswer(Known):
    """A source as known at a basis."""

    source: Source = Field(description="The source")


class TrafficAnswer(Traffic, Known):
    """What a source has sent, as known at a basis."""


class MappingTried(Wire):
    """A mapping to be tried."""

    mapping: dict[str, Any] = Field(description="As it would be saved")


class Since(Wire):
    """From when on to read back."""

    since: InstantField = Field(description="Moment from which changes are read")


class Because(Wire):
    """Why something is done."""

    reason: Reason = Field(description="Why")


def _mapping(kind: str, mapping: dict[str, Any]) -> dict[str, Any]:
    shape = VENDORS[kind].mapping if kind in VENDORS else Mapping
    try:
        read = shape.model_validate(mapping)
    except ValidationError as error:
        faults = faults_of(error, mapping, "/mapping")
        raise INVALID.refusal(f"The mapping: {faults[0].detail}", faults) from error
    return read.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def _shown(body: SourceDescribed, revision: int, token: str | None = None) -> Source:
    return Source(
        **body.model_dump(exclude={"reason"}),
        revision=revision,
        webhook_path=None if token is None else f"/v1/webhooks/{token}",
    )


def _vault(caller: Caller) -> Vault:
    vault = caller.runtime.parts["vault"]
    assert isinstance(vault, Vault)
    return vault


def _seal_rest(
    caller: Caller, transaction: Transaction, key: str, kind: str, body: NewSource | SourceChange
) -> None:
    """Keep what a source is read back with; refused for kinds that can't be."""
    connection, tenant_id = transaction.connection, transaction.tenant_id
    for name, slot in (("rest_url", REST_ADDRESS), ("rest_key", REST_KEY)):
        value = getattr(body, name)
        if value is not None and kind not in CONNECTORS:
            raise invalid(f"/{name}", f"Sources of kind {kind!r} can't be read back.", "kind")
        if value is None:
            continue
        if slot == REST_ADDRESS:
            if not is_address(value):
                raise invalid("/rest_url", f"{value[:100]!r} is no address.", "address")
            # The key was given for the address before; another place must not get it.
            _vault(caller).forget_one(connection, tenant_id, key, REST_KEY)
        _vault(caller).store_one(connection, tenant_id, key, slot, value)


def _changed(caller: Caller, work: Callable[[Transaction], Answer]) -> Response:
    """Run a command that changes what an address stands for; it holds at once here."""
    answer = caller.command(work)
    addresses = caller.runtime.parts["addresses"]
    assert isinstance(addresses, Addresses)
    addresses.forget()
    return answer


def _reads_back(caller: Caller) -> ReadsBack:
    found = caller.runtime.parts["reads_back"]
    assert isinstance(found, ReadsBack)
    return found


@router.post("/sources", status_code=201, response_model=Source)
def create_source(
    body: NewSource, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Connect a source; its webhook address is shown this once.

    The address is a credential: whoever has it may deliver, if the vendor's own signature fits.
    """

    caller.demand_no_replay()

    def work(transaction: Transaction) -> Answer:
        if transaction.stream(f"source/{body.key}"):
            raise CONFLICT.refusal(f"There is a source {body.key!r} already.")
        if body.kind in VENDORS and VENDORS[body.kind].signed and not body.secrets:
            fault = Fault("/secrets", "The secret that the vendor signs with is needed.", "missing")
            raise INVALID.refusal(fault.detail, [fault])
        payload = SourceDescribed(
            key=body.key,
            kind=body.kind,
            state="active",
            mapping=_mapping(body.kind, body.mapping),
            public_url=body.public_url,
            reason=body.reason,
        )
        described, revision = describe_source(transaction, payload, 0)
        token = None
        if body.kind != "files":
            connection, tenant_id = transaction.connection, transaction.tenant_id
            if body.secrets:
                _vault(caller).store(connection, tenant_id, body.key, body.secrets)
            _seal_rest(caller, transaction, body.key, body.kind, body)
            token = rotate_token(connection, tenant_id, body.key, transaction.known_at)
        shown = _shown(described, revision, token)
        return Answer(shown, 201, revision, f"/v1/sources/{body.key}")

    return caller.command(work)


@router.get("/sources")
def list_sources(
    reader: Annotated[Reader, Depends(reads("metrics:read"))], pages: Pages
) -> Page[Source]:
    """List the sources."""
    with reader.view() as view:
        rows = queries.source_list(view, pages.text_after(), pages.limit + 1)
        return pages.page(view, rows, lambda row: row[0].key, lambda row: _shown(*row))


@router.get("/sources/{key}")
def get_source(
    key: str, response: Response, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> SourceAnswer:
    """Show a source (never its secrets)."""
    with reader.view() as view:
        described, revision = queries.source(view, key)
        response.headers["ETag"] = f'"{revision}"'
        return SourceAnswer(
            source=_shown(described, revision),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.patch("/sources/{key}", response_model=Source)
def change_source(
    key: str, body: SourceChange, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Change a source: rotate secrets, mend the mapping, retire it."""

    def work(transaction: Transaction) -> Answer:
        described, revision = queries.source(transaction, key)
        caller.demand_revision(revision)
        changed: dict[str, Any] = {"reason": body.reason}
        if body.mapping is not None:
            changed["mapping"] = _mapping(described.kind, body.mapping)
        for name in ("public_url", "state"):
            if getattr(body, name) is not None:
                changed[name] = getattr(body, name)
        payload = described.model_copy(update=changed)
        if body.secrets is not None:
            _vault(caller).store(transaction.connection, transaction.tenant_id, key, body.secrets)
        _seal_rest(caller, transaction, key, described.kind, body)
        saved, revision = describe_source(transaction, payload, revision)
        return Answer(_shown(saved, revision), 200, revision)

    return _changed(caller, work)


@router.post("/sources/{key}/rotate-token", response_model=Source)
def rotate_source_token(
    key: str, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Make a new webhook address; the one before stops working at once."""

    caller.demand_no_replay()

    def work(transaction: Transaction) -> Answer:
        described, revision = queries.source(transaction, key)
        if described.kind == "files":
            raise CONFLICT.refusal("A source of files has no webhook address.")
        token = rotate_token(
            transaction.connection, transaction.tenant_id, key, transaction.known_at
        )
        return Answer(_shown(described, revision, token), 200, revision)

    return _changed(caller, work)


@router.get("/sources/{key}/seen")
def show_what_was_seen(
    key: str, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> TrafficAnswer:
    """Show what a source has sent: its last delivery, and the stages and values seen so far.

    What `mapped` denies still needs a place in the mapping, if the vendor's default is not right.
    """
    with reader.view() as view:
        described, _ = queries.source(view, key)
        return TrafficAnswer(
            **traffic(view, described).model_dump(),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )


@router.post("/sources/{key}/mapping-preview")
def preview_source_mapping(
    key: str, body: MappingTried, reader: Annotated[Reader, Depends(reads("metrics:read"))]
) -> MappingEffect:
    """Show what another mapping would do to all that a source has said; nothing is changed."""
    with reader.view() as view:
        described, _ = queries.source(view, key)
        if described.kind not in VENDORS or VENDORS[described.kind].settle is None:
            raise CONFLICT.refusal("Only mappings of CRMs are previewed; files have a dry run.")
        _mapping(described.kind, body.mapping)
        return effect(view, described, crm_mapping(described.kind, body.mapping))


@router.post("/sources/{key}/settle", status_code=202, response_model=jobs.Job)
def settle_source_again(
    key: str, body: Because, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Bring all records of a source up to its present mapping, in a backfill.

    Facts that it makes otherwise are restated there, and those that it no longer makes are
    retracted. Nothing counts before you have looked at `GET /v1/backfills/{id}/effect` and closed
    it; where nothing changes, it is dropped.
    """
    return caller.command(
        lambda transaction: jobs.accepted(loading.settle_anew(transaction, key, body.reason))
    )


@router.post("/sources/{key}/history", status_code=202, response_model=jobs.Job)
def load_source_history(
    key: str, body: Because, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Load the history of stages that a source's system keeps, into a backfill.

    The job tells from which quarter on each metric is exact; earlier periods are answered null,
    `before_source_history`, where the system has forgotten their beginning. Nothing counts before
    you have looked at `GET /v1/backfills/{id}/effect` and closed the backfill.
    """
    return caller.command(
        lambda transaction: jobs.accepted(
            loading.load_history(transaction, _reads_back(caller), key, body.reason)
        )
    )


@router.post("/sources/{key}/reconcile", status_code=202, response_model=jobs.Job)
def reconcile_source(
    key: str, body: Since, caller: Annotated[Caller, Depends(writes("metrics:write"))]
) -> Response:
    """Read back all that changed in a source's system since a moment, and add what is missing.

    For senders that lose what they send while we do not answer; what is known already changes
    nothing. It also happens by itself, every hour by default (`METRICS_RECONCILE_MINUTES`).
    """
    return caller.command(
        lambda transaction: jobs.accepted(
            loading.reconcile(transaction, _reads_back(caller), key, body.since)
        )
    )
