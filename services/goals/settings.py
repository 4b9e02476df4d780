"""What the goals service can be configured with: `GOALS_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import PeerSettings


class GoalsSettings(PeerSettings):
    """Settings of the goals service."""

    model_config = SettingsConfigDict(env_prefix="GOALS_", extra="ignore", frozen=True)

    port: int = Field(8001, ge=0, le=65535, description="Port to listen on")
    database_url: str = Field("sqlite:///.worthwhile/goals.db", description="Database address")
