"""What every service can be configured with; each service adds its own prefix and fields."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Read from `<SERVICE>_*` environment variables only."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(ge=0, le=65535, description="Port to listen on")
    database_url: str = Field(description="SQLAlchemy address of the service's own database")
    migration_database_url: str | None = Field(
        None, description="The same database as the tables' owner; default: database_url"
    )
    prepared_statements: bool = Field(
        True, description="Off behind a pooler in transaction mode that keeps none (old PgBouncers)"
    )
    auth: Literal["development", "keys"] = Field(
        "development", description="`keys` demands an API key issued for a real deployment"
    )
    simulate: bool = Field(False, description="Run on a simulated clock (development only)")
    cors_origins: list[str] = Field(default_factory=list, description="Origins allowed by CORS")
    max_body_bytes: int = Field(10_000_000, ge=1024, description="Largest request body")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    shutdown_grace_seconds: int = Field(20, ge=1, description="Time to finish what is in flight")

    @model_validator(mode="after")
    def _no_open_door_without_keys(self) -> Self:
        if self.auth == "development" and not is_loopback(self.host):
            raise ValueError(
                f"refusing to listen on {self.host}: without AUTH=keys only loopback is allowed"
            )
        if self.simulate and self.auth != "development":
            raise ValueError("a simulated clock exists only with AUTH=development, on loopback")
        return self

    @property
    def owner_url(self) -> str:
        return self.migration_database_url or self.database_url


class PeerSettings(ServiceSettings):
    """A service that asks others."""

    metrics_url: str = Field("http://127.0.0.1:8002", description="Where metrics answers")
    service_keys: dict[str, SecretStr] = Field(
        default_factory=dict, description="Tenant id -> API key for work without a request (JSON)"
    )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
