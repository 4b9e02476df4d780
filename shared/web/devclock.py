"""`POST /v1/dev/clock`: simulated time, which exists only on loopback with development auth."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from shared.clock import SimulatedClock
from shared.errors import CONFLICT, invalid
from shared.web.routes import router as make_router
from shared.web.runtime import Caller, writes
from shared.web.wire import InstantField, Wire
from shared.zones import LAST_YEAR


class ClockSetting(Wire):
    """The moment that the simulated clock shows."""

    now: InstantField = Field(description="The simulated present; it can only be moved forward")


def clock_router(clock: SimulatedClock) -> APIRouter:
    """The route that moves a simulated clock; it is mounted only where there is one."""
    router = make_router("development")

    @router.post("/dev/clock", include_in_schema=False)
    def move_clock(
        body: ClockSetting, caller: Annotated[Caller, Depends(writes(None))]
    ) -> ClockSetting:
        """Move the simulated clock forward."""
        if body.now.year > LAST_YEAR:
            raise invalid("/now", f"Simulated time ends with {LAST_YEAR}.", "too_late")
        if not clock.move_to(body.now):
            raise CONFLICT.refusal(
                f"The clock shows {clock.now():%Y-%m-%dT%H:%M:%SZ}; it never goes back."
            )
        return ClockSetting(now=clock.now())

    return router
