"""The routes of what is only stated, restated and retired: one set for every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, cast

from fastapi import APIRouter, Depends, Query, Response
from pydantic import Field, create_model

from services.goals.api.shapes import History, told
from services.goals.commands import statements as commands
from services.goals.domain.statement import BodyT, Kind, Statement
from services.goals.queries import records
from shared.ledger import Transaction, View
from shared.web.pages import Page, Pages
from shared.web.runtime import Answer, Caller, Reader, reads, writes
from shared.web.wire import Known, Wire
from shared.words import Id, Reason

INITIATIVE = Annotated[
    str | None, Query(max_length=36, description="Only of this initiative")
]  # fmt: skip


class Retirement(Wire):
    """Why something no longer holds."""

    reason: Reason = Field(description="Why")


@dataclass(frozen=True)
class Resource(Generic[BodyT]):
    """How a kind is shown: its path, its words, what clients state and what they get back."""

    kind: Kind[BodyT]
    path: str
    noun: str
    about: str
    stated: type[BodyT] | type[Any]
    more: Callable[[View, Statement[BodyT]], dict[str, Any]] = lambda view, state: {}
    extra: type[Wire] = Wire
    two_edit: bool = False

    @property
    def _title(self) -> str:
        return self.kind.body.__name__

    def shape(self) -> type[Wire]:
        """What the API shows: all that is stated, with id and revision."""
        bases: Any = (self.extra, self.kind.body)
        made = create_model(
            self._title, __base__=bases,
            __doc__=f"{self.noun.capitalize()} with its id and revision.",
            id=(Id, Field(description="Id")),
            revision=(int, Field(ge=1, description="Number of changes; the ETag")),
            initiative_id=(Id, Field(description="The initiative that it belongs to")),
        )  # fmt: skip
        return cast("type[Wire]", made)

    def new(self) -> type[Any]:
        return create_model(
            f"New{self._title}", __base__=(self.stated, Wire),
            __doc__=f"{self.noun.capitalize()} to be stated.",
            initiative_id=(Id, Field(description="The initiative that it belongs to")),
        )  # fmt: skip

    def restated(self) -> type[Any]:
        return create_model(
            f"Restated{self._title}", __base__=(self.stated, Wire),
            __doc__=f"{self.noun.capitalize()}, stated anew as a whole.",
            reason=(Reason, Field(description="Why it changes")),
        )  # fmt: skip

    def answer(self, shape: type[Wire]) -> type[Known]:
        held: Any = {self.kind.name: (shape, Field(description=self.about))}
        return create_model(
            f"{self._title}Answer", __base__=Known,
            __doc__=f"{self.noun.capitalize()} as known at a basis.", **held,
        )  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """A resource with the shapes that its routes answer with."""

    resource: Resource[Any]
    shape: type[Wire]

    @property
    def kind(self) -> Kind[Any]:
        return self.resource.kind

    def of(self, view: View, state: Statement[Any]) -> Wire:
        """A thing as the API shows it."""
        return self.shape.model_validate(
            {**state.body.model_dump(), "id": state.record_id, "revision": state.revision,
             "initiative_id": state.initiative_id, **self.resource.more(view, state)}
        )  # fmt: skip

    def answer(self, transaction: Transaction, state: Statement[Any], status: int = 200) -> Answer:
        made = status == 201
        location = f"/v1/{self.resource.path}/{state.record_id}" if made else None
        return Answer(self.of(transaction, state), status, state.revision, location)


def routes(router: APIRouter, resource: Resource[Any]) -> Shown:
    """Add the routes of a kind to a router; how one is shown is handed back."""
    shown = Shown(resource, resource.shape())
    one, many = resource.kind.name, resource.path.replace("-", "_")
    base, noun = f"/{resource.path}", resource.noun
    at = f"{base}/{{identity}}"
    known = resource.answer(shown.shape)
    table: list[tuple[str, str, str, str, Any, Any, int]] = [
        ("POST", base, f"state_{one}", f"State {noun}.\n\n{resource.about}",
         _create(shown), shown.shape, 201),
        ("GET", base, f"list_{many}", f"List {resource.path.replace('-', ' ')}, oldest first.",
         _list(shown), Page[shown.shape], 200),  # type: ignore[name-defined]
        ("GET", at, f"get_{one}", f"Show {noun}.", _get(shown, known), known, 200),
        ("PUT", at, f"restate_{one}", f"State {noun} anew, as a whole, with a reason.",
         _restate(shown), shown.shape, 200),
        ("POST", f"{at}/retire", f"retire_{one}",
         f"Take {noun} from the lists, with a reason; its past stays readable.",
         _retire(shown), shown.shape, 200),
        ("GET", f"{at}/history", f"tell_{one}",
         f"Tell in words who changed what of {noun}, when and why.", _tell(one), History, 200),
    ]  # fmt: skip
    for method, path, name, says, endpoint, answer, status in table:
        router.add_api_route(
            path, endpoint, methods=[method], name=name, description=says, status_code=status,
            response_model=answer,
        )  # fmt: skip
    return shown


def _create(shown: Shown) -> Callable[..., Response]:
    kind = shown.kind

    def create(body: Any, caller: Annotated[Caller, Depends(writes("goals:write"))]) -> Response:
        def work(transaction: Transaction) -> Answer:
            stated = kind.body.model_validate(body.model_dump(exclude={"initiative_id"}))
            made = commands.state(transaction, kind, body.initiative_id, stated)
            return shown.answer(transaction, made, 201)

        return caller.command(work)

    create.__annotations__["body"] = shown.resource.new()
    return create


def _list(shown: Shown) -> Callable[..., Any]:
    def list_all(
        reader: Annotated[Reader, Depends(reads("goals:read"))], pages: Pages,
        initiative_id: INITIATIVE = None,
    ) -> Any:  # fmt: skip
        with reader.view() as view:
            after, limit = pages.text_after(), pages.limit + 1
            rows = records.statements(view, shown.kind, initiative_id, after, limit)
            return pages.page(view, rows, lambda s: s.record_id, lambda s: shown.of(view, s))

    return list_all


def _get(shown: Shown, answer: type[Known]) -> Callable[..., Any]:
    def get(
        identity: str, response: Response, reader: Annotated[Reader, Depends(reads("goals:read"))]
    ) -> Any:
        with reader.view() as view:
            state = records.statement(view, shown.kind, identity)
            response.headers["ETag"] = f'"{state.revision}"'
            known: dict[str, Any] = {
                "known_at": view.known_at, "basis": view.basis.token, "open": view.open,
            }  # fmt: skip
            return answer(**{shown.kind.name: shown.of(view, state)}, **known)

    return get


def _restate(shown: Shown) -> Callable[..., Response]:
    kind = shown.kind

    def restate(
        identity: str, body: Any, caller: Annotated[Caller, Depends(writes("goals:write"))]
    ) -> Response:
        def work(transaction: Transaction) -> Answer:
            state = records.statement(transaction, kind, identity)
            caller.demand_revision(state.revision, required=shown.resource.two_edit)
            stated = {**state.body.model_dump(), **body.model_dump(exclude={"reason"})}
            whole = kind.body.model_validate(stated)
            return shown.answer(
                transaction, commands.restate(transaction, kind, state, whole, body.reason)
            )

        return caller.command(work)

    restate.__annotations__["body"] = shown.resource.restated()
    return restate


def _retire(shown: Shown) -> Callable[..., Response]:
    def retire(
        identity: str, body: Retirement, caller: Annotated[Caller, Depends(writes("goals:write"))]
    ) -> Response:
        def work(transaction: Transaction) -> Answer:
            state = records.statement(transaction, shown.kind, identity)
            caller.demand_revision(state.revision)
            last = shown.answer(transaction, state)
            commands.retire(transaction, shown.kind, state, body.reason)
            return last

        return caller.command(work)

    return retire


def _tell(kind: str) -> Callable[..., History]:
    def tell(identity: str, reader: Annotated[Reader, Depends(reads("goals:read"))]) -> History:
        with reader.view() as view:
            return told(view, f"{kind}/{identity}")

    return tell
