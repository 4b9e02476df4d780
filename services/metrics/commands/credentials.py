"""API keys and webhook tokens: made here, shown once, kept as hashes; secrets sealed at rest."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, delete, insert, select, update

from services.metrics.tables import api_keys, source_secrets, webhook_tokens
from shared.clock import Clock
from shared.database import Database
from shared.errors import CONFLICT, NOT_FOUND
from shared.ids import new_id
from shared.ledger.archive import register_tenant
from shared.ledger.tables import tenants
from shared.web.runtime import Principal

KEY_PREFIX = "ww_"
_KEY_BYTES, _TOKEN_BYTES, _TENANT_BYTES = 32, 24, 16
# How stale `last used` may be, so that reading does not write on every request.
_LAST_USED_SECONDS = 60
# A key that was looked up is good for so long here; other processes notice a revocation then.
KEPT_SECONDS = 5.0
MAX_KEPT = 10_000


def find_tenant(connection: Connection, key: str) -> UUID | None:
    return connection.execute(select(tenants.c.tenant_id).where(tenants.c.key == key)).scalar()


def create_tenant(connection: Connection, key: str, tenant_id: UUID, now: datetime) -> UUID:
    """The tenant of that key, made when there is none."""
    found = find_tenant(connection, key)
    if found is not None:
        return found
    register_tenant(connection, tenant_id, key, {"created_at": now})
    return tenant_id


def create_key(
    connection: Connection,
    tenant_id: UUID,
    name: str,
    scopes: Sequence[str],
    now: datetime,
    *,
    person: str | None = None,
    expires_at: datetime | None = None,
) -> tuple[str, str]:
    """A new key's id and the key itself, which is shown this once."""
    secret = secrets.token_bytes(_KEY_BYTES)
    key = KEY_PREFIX + base64.urlsafe_b64encode(tenant_id.bytes + secret).decode().rstrip("=")
    key_id = new_id()
    connection.execute(
        insert(api_keys).values(
            tenant_id=tenant_id,
            key_id=key_id,
            hash=hashlib.sha256(key.encode()).digest(),
            name=name,
            person=person,
            scopes=" ".join(sorted(set(scopes))),
            created_at=now,
            expires_at=expires_at,
        )
    )
    return key_id, key


def revoke_key(connection: Connection, tenant_id: UUID, key_id: str, now: datetime) -> None:
    """End a key at once; refuses with 404 where there is none in use."""
    changed = connection.execute(
        update(api_keys)
        .where(
            api_keys.c.tenant_id == tenant_id,
            api_keys.c.key_id == key_id,
            api_keys.c.revoked_at.is_(None),
        )
        .values(revoked_at=now)
    ).rowcount
    if not changed:
        raise NOT_FOUND.refusal(f"There is no key {key_id!r} in use.")


class KeyAuthentication:
    """The authenticator of the service that owns the keys."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._kept: dict[str, tuple[float, Principal]] = {}

    def recall(self, credential: str) -> Principal | None:
        """The principal, where the key was looked up within the last seconds."""
        kept = self._kept.get(credential)
        if kept is None or time.monotonic() - kept[0] > KEPT_SECONDS:
            return None
        return kept[1]

    def forget(self, key_id: str) -> None:
        """Look a key up again at its next use, since it was revoked."""
        self._kept = {c: k for c, k in self._kept.items() if k[1].key_id != key_id}

    def __call__(self, credential: str, *, reading: bool) -> Principal | None:
        known = self.recall(credential)
        if known is not None:
            return known
        tenant_id = _tenant_named_in(credential.removeprefix(KEY_PREFIX), _KEY_BYTES)
        if tenant_id is None or not credential.startswith(KEY_PREFIX):
            return None
        # Found by hash, so that comparing takes no time that tells anything of the key.
        digest = hashlib.sha256(credential.encode()).digest()
        now = self._clock.now()
        with self._database.read(tenant_id) as connection:
            row = connection.execute(
                select(api_keys).where(api_keys.c.tenant_id == tenant_id, api_keys.c.hash == digest)
            ).one_or_none()
        if row is None or row.revoked_at is not None or (row.expires_at and row.expires_at <= now):
            return None
        if (
            row.last_used_at is None
            or (now - row.last_used_at).total_seconds() > _LAST_USED_SECONDS
        ):
            self._note_use(tenant_id, row.key_id, now)
        found = Principal(
            tenant_id, row.key_id, row.name, row.person, frozenset(row.scopes.split()), credential
        )
        if len(self._kept) >= MAX_KEPT:
            self._kept = {}
        self._kept[credential] = (time.monotonic(), found)
        return found

    def _note_use(self, tenant_id: UUID, key_id: str, now: datetime) -> None:
        with self._database.write(tenant_id) as connection:
            connection.execute(
                update(api_keys)
                .where(api_keys.c.tenant_id == tenant_id, api_keys.c.key_id == key_id)
                .values(last_used_at=now)
            )


def _tenant_named_in(text: str, secret_bytes: int) -> UUID | None:
    """The tenant that a credential claims; it is believed only when its hash is found there."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    return UUID(bytes=raw[:_TENANT_BYTES]) if len(raw) == _TENANT_BYTES + secret_bytes else None


def rotate_token(connection: Connection, tenant_id: UUID, source: str, now: datetime) -> str:
    """A new webhook address for a source; the one before stops working."""
    token = base64.urlsafe_b64encode(tenant_id.bytes + secrets.token_bytes(_TOKEN_BYTES)).decode()
    token = token.rstrip("=")
    mine = (webhook_tokens.c.tenant_id == tenant_id, webhook_tokens.c.source == source)
    connection.execute(delete(webhook_tokens).where(*mine))
    connection.execute(
        insert(webhook_tokens).values(
            tenant_id=tenant_id,
            hash=hashlib.sha256(token.encode()).digest(),
            source=source,
            created_at=now,
        )
    )
    return token


def source_of_token(database: Database, token: str) -> tuple[UUID, str]:
    """The tenant and source of a webhook address; refuses with 404 where it is none of ours."""
    tenant_id = _tenant_named_in(token, _TOKEN_BYTES)
    if tenant_id is not None:
        digest = hashlib.sha256(token.encode()).digest()
        with database.read(tenant_id) as connection:
            source = connection.execute(
                select(webhook_tokens.c.source).where(
                    webhook_tokens.c.tenant_id == tenant_id, webhook_tokens.c.hash == digest
                )
            ).scalar()
        if source is not None:
            return tenant_id, source
    raise NOT_FOUND.refusal("This webhook address is not in use.")


# Secrets stand in the first slots; what a source is read back with has its own.
_SECRETS, REST_KEY, REST_ADDRESS = range(2), 8, 9


class Vault:
    """Seals sources' secrets with the key from the configuration."""

    def __init__(self, key: str | None) -> None:
        self._fernet = Fernet(key.encode()) if key else None

    def store(
        self, connection: Connection, tenant_id: UUID, source: str, values: Sequence[str]
    ) -> None:
        """Replace a source's secrets: the present one first, then the one still valid."""
        self._replace(connection, tenant_id, source, _SECRETS, dict(enumerate(values)))

    def store_one(
        self, connection: Connection, tenant_id: UUID, source: str, slot: int, value: str
    ) -> None:
        """Replace the address, or the key, that a source is read back with."""
        self._replace(connection, tenant_id, source, (slot,), {slot: value})

    def forget_one(self, connection: Connection, tenant_id: UUID, source: str, slot: int) -> None:
        """Forget the address, or the key, that a source is read back with."""
        self._replace(connection, tenant_id, source, (slot,), {})

    def _replace(
        self, connection: Connection, tenant_id: UUID, source: str, slots: Iterable[int],
        values: Mapping[int, str],
    ) -> None:  # fmt: skip
        fernet = self._fernet
        if fernet is None:
            raise CONFLICT.refusal(
                "No key for sealing secrets is configured; set METRICS_SECRETS_KEY."
            )
        connection.execute(
            delete(source_secrets).where(
                source_secrets.c.tenant_id == tenant_id,
                source_secrets.c.source == source,
                source_secrets.c.slot.in_(slots),
            )
        )
        for slot, value in values.items():
            connection.execute(
                insert(source_secrets).values(
                    tenant_id=tenant_id,
                    source=source,
                    slot=slot,
                    sealed=fernet.encrypt(value.encode()),
                )
            )

    def open(self, connection: Connection, tenant_id: UUID, source: str) -> list[str]:
        """A source's valid secrets."""
        return self._opened(connection, tenant_id, source, _SECRETS)

    def open_one(
        self, connection: Connection, tenant_id: UUID, source: str, slot: int
    ) -> str | None:
        """The address, or the key, that a source is read back with, where it has one."""
        return next(iter(self._opened(connection, tenant_id, source, (slot,))), None)

    def _opened(
        self, connection: Connection, tenant_id: UUID, source: str, slots: Iterable[int]
    ) -> list[str]:
        rows = connection.execute(
            select(source_secrets.c.sealed)
            .where(
                source_secrets.c.tenant_id == tenant_id,
                source_secrets.c.source == source,
                source_secrets.c.slot.in_(slots),
            )
            .order_by(source_secrets.c.slot)
        ).scalars()
        try:
            return (
                [self._fernet.decrypt(sealed).decode() for sealed in rows] if self._fernet else []
            )
        except InvalidToken as error:
            raise CONFLICT.refusal(
                "The stored secrets were sealed with another METRICS_SECRETS_KEY."
            ) from error
