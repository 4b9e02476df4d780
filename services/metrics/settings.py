"""What the metrics service can be configured with: `METRICS_*`."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from shared.settings import ServiceSettings


class MetricsSettings(ServiceSettings):
    """Settings of the metrics service."""

    model_config = SettingsConfigDict(env_prefix="METRICS_", extra="ignore", frozen=True)

    port: int = Field(8002, ge=0, le=65535, description="Port to listen on")
    database_url: str = Field("sqlite:///.worthwhile/metrics.db", description="Database address")
    secrets_key: SecretStr | None = Field(
        None, description="Fernet key that seals the secrets of sources"
    )
    raw_body_days: int | None = Field(
        None, ge=1, description="Days that bodies of translated deliveries are kept; default: ever"
    )
    reconcile_minutes: int = Field(
        60, ge=0, description="How often sources are read back for what was lost; 0: never"
    )
    private_connectors: bool = Field(
        False, description="Let sources be read back from private addresses, too (own networks)"
    )
