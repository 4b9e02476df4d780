"""What the valuation service can be configured with: `VALUATION_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.settings import PeerSettings


class ValuationSettings(PeerSettings):
    """Settings of the valuation service."""

    model_config = SettingsConfigDict(env_prefix="VALUATION_", extra="ignore", frozen=True)

    port: int = Field(8003, ge=0, le=65535, description="Port to listen on")
    database_url: str = Field("sqlite:///.worthwhile/valuation.db", description="Database address")
    goals_url: str = Field("http://127.0.0.1:8001", description="Where goals answers")
