"""Settings: read once from the environment (`ENGAGE_…`) with defaults that are safe on a laptop.

`engage --help` and docs/SETTINGS.md name each one. Nothing else in the code base reads the environment.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SEALING_KEY_LENGTH_MIN = 32


class Settings(BaseSettings):
    """Everything that may differ from one installation to the next."""

    model_config = SettingsConfigDict(env_prefix="ENGAGE_", extra="ignore")

    database_url: str = Field(
        default="", description="PostgreSQL 15 or later: postgres://user:password@host:5432/database"
    )
    database_role: str = Field(
        default="",
        description="Role that gateways and workers connect to PostgreSQL as. `engage db migrate`, which connects as"
        " the owner, grants it what they need, and nothing that could change history.",
    )
    redis_url: str = Field(default="", description="Redis 7 or Valkey: redis://:password@host:6379/0")
    redis_prefix: str = Field(
        default="engage",
        description="Begins every Redis key and channel, so that installations can share one.",
    )
    data_dir: Path = Field(
        default=Path(".engage"), description="Folder of `engage dev`: its databases, its secret, its dev.json."
    )
    host: str = Field(default="127.0.0.1", description="Address that the gateway listens on, and metrics.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the gateway; 0 takes a free one.")
    metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Metrics for Prometheus are served here, at ENGAGE_HOST; 0 is off."
    )
    jwt_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Signs and checks bearer tokens (HS256); at least 32 characters. ENGAGE_JWKS_URL can replace it.",
    )
    jwks_url: str = Field(
        default="",
        description="Public keys of your identity provider, a JSON Web Key Set, for tokens that it signs with RS256"
        " or ES256.",
    )
    jwt_issuer: str = Field(default="engage", description="Tokens of another issuer are refused.")
    jwt_audience: str = Field(default="engage", description="Tokens for another audience are refused.")
    jwt_leeway_s: int = Field(default=30, ge=0, le=300, description="Clock skew that tokens may have, seconds.")
    pool_size_max: int = Field(default=16, ge=1, le=500, description="Database connections of one process.")
    acquire_timeout_s: float = Field(
        default=5.0, gt=0, description="How long a request may wait for a database connection, seconds."
    )
    statement_timeout_ms: int = Field(
        default=15_000, ge=100, description="The database ends a statement of the gateway after this."
    )
    lock_timeout_ms: int = Field(
        default=5_000, ge=100, description="The database ends a wait for a lock of the gateway after this."
    )
    operation_timeout_s: float = Field(
        default=20.0, gt=0, description="One GraphQL operation may take this long, seconds."
    )
    body_size_max: int = Field(default=256 * 1024, ge=1024, description="Largest request body, bytes.")
    service_body_size_max: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Largest request body of a service, bytes."
    )
    cors_origins: str = Field(
        default="",
        description="Origins whose pages may call from browsers, with commas between: scheme and host, as browsers"
        " name them. Unset, there is none, and every one in development.",
    )
    trusted_proxies: str = Field(
        default="",
        description="Addresses or networks of the proxies before the gateway, with commas between: 10.0.0.0/8. From"
        " these alone X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    operation_cost_max: int = Field(
        default=10_000, ge=1, description="One GraphQL operation may cost this at most, whoever calls."
    )
    budget_size: int = Field(default=10_000, ge=1, description="So much cost a caller can run up at once.")
    budget_restore_per_s: int = Field(default=500, ge=1, description="So much of it comes back each second.")
    service_budget_size: int = Field(default=500_000, ge=1, description="ENGAGE_BUDGET_SIZE of each service.")
    service_budget_restore_per_s: int = Field(
        default=50_000, ge=1, description="ENGAGE_BUDGET_RESTORE_PER_S of each service."
    )
    requests_per_minute: int = Field(
        default=6_000, ge=1, description="Requests of one caller at one gateway; messages on sockets are some, too."
    )
    service_requests_per_minute: int = Field(
        default=600_000, ge=1, description="ENGAGE_REQUESTS_PER_MINUTE of each service."
    )
    address_requests_per_minute: int = Field(
        default=12_000, ge=1, description="Requests from one address at one gateway, those of services apart."
    )
    failed_tokens_per_minute: int = Field(
        default=600,
        ge=1,
        description="Requests from one address with a token that is not accepted; beyond it none of that address is"
        " looked at.",
    )
    trusted_documents: str = Field(
        default="",
        description="File of documents that apps may send by their id: a JSON object of ids and documents, or an"
        " Apollo manifest.",
    )
    trusted_documents_only: bool = Field(
        default=False, description="Nothing else runs than what is in ENGAGE_TRUSTED_DOCUMENTS."
    )
    file_bytes_max: int = Field(
        default=2 * 1024**3, ge=1024, description="Largest file that a job reads or makes, bytes."
    )
    idempotency_keep_days: int = Field(
        default=30, ge=1, le=3650, description="How long a repeated key finds its first answer, days."
    )
    event_keep_days: int = Field(
        default=30, ge=1, le=3650, description="How long the event log is kept for resuming clients, days."
    )
    audit_keep_days: int = Field(
        default=730, ge=90, le=36500, description="How long the audit log keeps who did what, days."
    )
    heal_interval_s: float = Field(
        default=5.0, gt=0, description="How often subscriptions are compared with the event log, seconds."
    )
    sockets_max: int = Field(default=10_000, ge=1, description="Websockets that one gateway has open at once.")
    address_sockets_max: int = Field(
        default=1_000, ge=1, description="Of these, those of one address, or of one network of IPv6 (/64)."
    )
    subscribers_max: int = Field(default=20_000, ge=1, description="Subscriptions that one gateway serves at once.")
    subscriber_queue_max: int = Field(
        default=64, ge=1, le=10_000, description="Changes that wait for one slow subscriber."
    )
    bell_queue_max: int = Field(
        default=10_000, ge=1, description="Changes that wait to be told to other processes while Redis is busy."
    )
    sealing_key: SecretStr = Field(
        default=SecretStr(""),
        description="Seals secrets that are kept in the database, such as those of webhooks; at least 32 characters."
        " Unset, a key is derived from ENGAGE_JWT_SECRET, and workers then need that too.",
    )
    webhook_private_addresses: bool = Field(
        default=False,
        description="Webhooks may lead to private addresses, this machine's too, and use plain HTTP.",
    )
    webhook_disable_after_hours: int = Field(
        default=72, ge=1, le=720, description="A webhook that has failed for so long is disabled, hours."
    )
    register_unknown_members: bool = Field(
        default=True, description="A purchase by an unknown identity makes a new member; else it is refused."
    )
    development: bool = Field(default=False, description="GraphiQL, introspection and readable logs.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Lines below this level are not logged."
    )

    @field_validator("sealing_key")
    @classmethod
    def _long_enough(cls, key: SecretStr) -> SecretStr:
        if 0 < len(key.get_secret_value()) < SEALING_KEY_LENGTH_MIN:
            raise ValueError(
                f"it has at least {SEALING_KEY_LENGTH_MIN} characters; "
                'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
            )
        return key


def listed(text: str) -> list[str]:
    """The parts of a setting that has commas between them."""
    return [part.strip() for part in text.split(",") if part.strip()]


@cache
def settings() -> Settings:
    """The settings of this process; `settings.cache_clear()` reads the environment again."""
    return Settings()
