"""Lists in pages: opaque cursors that stay stable while new items arrive."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Depends, Query, Request, Response
from pydantic import Field

from shared.errors import invalid
from shared.ledger import View
from shared.web.wire import Known

DEFAULT_LIMIT = 50
MAX_LIMIT = 500
MAX_KEY = 300
_Item = TypeVar("_Item")


class Page(Known, Generic[_Item]):
    """A page of a list, as known at one basis."""

    items: list[_Item] = Field(description="The items of this page", max_length=MAX_LIMIT)
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last one")


class Paging:
    """`limit` and `cursor` of a request."""

    def __init__(
        self,
        request: Request,
        response: Response,
        limit: Annotated[
            int, Query(ge=1, le=MAX_LIMIT, description="Items per page")
        ] = DEFAULT_LIMIT,
        cursor: Annotated[
            str | None, Query(max_length=1_000, description="`next_cursor` of the page before")
        ] = None,
    ) -> None:
        self.limit = limit
        self.after: Any = None if cursor is None else _decode(cursor)
        self._request, self._response = request, response

    def text_after(self) -> str:
        """The cursor of a list that is ordered by a text; empty for the first page."""
        if self.after is None:
            return ""
        if not isinstance(self.after, str):
            raise _bad_cursor()
        return self.after

    def next_cursor(self, rows: Sequence[Any], key: Any) -> str | None:
        """The cursor after the page, given up to `limit + 1` rows; sets the Link header too."""
        if len(rows) <= self.limit:
            return None
        return self.link(key(rows[self.limit - 1]))

    def page(
        self,
        view: View,
        rows: Sequence[Any],
        key: Callable[[Any], Any],
        shown: Callable[[Any], _Item] = lambda row: row,
    ) -> Page[_Item]:
        """The page that up to `limit + 1` rows make; `key` is what the list is ordered by."""
        return Page(
            items=[shown(row) for row in rows[: self.limit]],
            next_cursor=self.next_cursor(rows, key),
            known_at=view.known_at,
            basis=view.basis.token,
            open=view.open,
        )

    def link(self, after: Any) -> str:
        """The cursor of the page that goes on after a key; sets the Link header too."""
        cursor = _encode(after)
        url = self._request.url.include_query_params(cursor=cursor, limit=self.limit)
        self._response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return cursor


Pages = Annotated[Paging, Depends(Paging)]


def _encode(value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(value)).decode().rstrip("=")


def _decode(cursor: str) -> Any:
    try:
        value = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise _bad_cursor() from error
    if isinstance(value, str) and ("\x00" in value or len(value) > MAX_KEY):
        raise _bad_cursor()
    return value


def _bad_cursor() -> Exception:
    return invalid("query:cursor", "This cursor was not made by this list.", "cursor")
