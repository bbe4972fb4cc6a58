"""Configuration from the environment, `.env` and `*_FILE` secrets (API.md: Environment).

Wrong values are named one by one; production refuses default or missing secrets.
"""

import os
import re
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Self

import limits
from pydantic import (
    AfterValidator,
    AliasChoices,
    Field,
    Json,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from api.platform.pins import ENOUGH_MEMORY_KIB
from playpark.clock import DEFAULT_ZONE
from playpark.contracts.provider import PlanName, PlanPrices
from playpark.errors import ErrorCode, PlayParkError
from playpark.tokens import MIN_KEY_BYTES

DEV_SECRET = "development-only-secret-do-not-deploy"  # noqa: S105 - refused in production
_HMAC_NAME = re.compile(r"HMAC_KEY_V([1-9][0-9]?)(_FILE)?")


def _rate(text: str) -> str:
    found = limits.parse_many(text)
    if len(found) != 1 or found[0].amount < 1:
        raise ValueError("one rate only, of 1 or more")
    return text


def _networks(text: str) -> str:
    for each in _split(text):
        ip_network(each)
    return text


def _origins(text: str) -> str:
    if bad := [each for each in _split(text) if not re.fullmatch(r"https?://[^/*\s]+", each)]:
        raise ValueError(f"{len(bad)} of them are not like https://office.example")
    return text


Rate = Annotated[str, AfterValidator(_rate)]
"""So many in a time, as the library `limits` writes it: `20/second`, `50/hour`."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    TEST = "test"
    STAGING = "staging"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """All that the API can be told from outside."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        populate_by_name=True,
        case_sensitive=False,
    )

    environment: Environment = Environment.DEVELOPMENT
    port: int = Field(
        default=48080, ge=0, le=65535, validation_alias=AliasChoices("PORT", "API_PORT")
    )
    mongodb_uri: str | None = Field(
        default=None, validation_alias=AliasChoices("MONGODB_URI", "DB_URI")
    )
    database: str = Field(
        default="playpark", pattern=r"^[A-Za-z0-9_-]{1,40}$", validation_alias="MONGODB_DATABASE"
    )
    secret_key: SecretStr = Field(
        default=SecretStr(DEV_SECRET), validation_alias=AliasChoices("SECRET_KEY", "JWT_SECRET")
    )
    hmac_keys: dict[int, SecretStr] = Field(default_factory=lambda: {1: SecretStr(DEV_SECRET)})
    """HMAC_KEY_V<n>: the highest number signs new tickets, all of them verify (R21)."""
    previous_secret_keys: SecretStr = Field(
        default=SecretStr(""), validation_alias="SECRET_KEY_PREVIOUS"
    )
    """Earlier SECRET_KEYs, comma-separated: their tokens are read until they run out."""
    encryption_key: SecretStr = Field(
        default=SecretStr(DEV_SECRET), validation_alias="ENCRYPTION_KEY"
    )
    """Seals stored secrets; comma-separated, the newest first."""
    pin_failures_per_device: int = Field(default=20, ge=1)
    pin_memory_kib: int = Field(default=ENOUGH_MEMORY_KIB, ge=64)
    """What one hash of a PIN takes; hashes that stand keep what they were made with."""
    pin_failures_per_ip: int = Field(default=60, ge=1)
    """Wrong PINs an hour; a park's tills often share one address (R41)."""
    audit_raw_days: int = Field(default=90, ge=1, le=36_500)
    audit_summary_days: int = Field(default=365, ge=1, le=36_500)
    """How long rows of the audit trail are kept, and their daily sums (R45)."""
    tz: str = Field(default=DEFAULT_ZONE, validation_alias="TZ")
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")
    docs: bool | None = None
    """API pages on or off; by default on, and off in production."""

    trusted_proxies: Annotated[str, AfterValidator(_networks)] = ""
    """Addresses and networks, comma-separated, whose X-Forwarded-For is believed."""
    cors_origins: Annotated[str, AfterValidator(_origins)] = ""
    """Origins, comma-separated, whose pages may call the API; others get no header."""
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    """Bearer token of /metrics. In production there are no metrics without it."""
    redis_uri: SecretStr | None = None
    """Where several processes count their limits together; in memory without it."""

    limit_device: Rate = "20/second"
    limit_device_burst: Rate = "180/minute"
    """What a device may ask over `limit_device`: both together are the burst."""
    limit_employee: Rate = "1000/hour"
    """This and the next two: an employee on an ADMIN device."""
    limit_giving_back: Rate = "50/hour"
    limit_preview: Rate = "100/hour"
    limit_device_login: Rate = "60/hour"
    limit_address_login: Rate = "300/hour"
    limit_enrolment: Rate = "10/hour"
    """Site keys that were wrong, by address."""

    header_seconds: float = Field(default=10, gt=0)
    body_seconds: float = Field(default=30, gt=0)
    """For a body to come in, and for an answer to be taken."""
    stall_seconds: float = Field(default=10, gt=0)
    """Longest time without a byte of a body."""
    max_connections: int = Field(default=1000, ge=1)
    shutdown_seconds: int = Field(default=25, ge=1)
    """For what is under way when the server ends; a batch has 20 and its last operation 5."""

    billing_plans: Json[dict[PlanName, PlanPrices]] = Field(
        default_factory=dict, validate_default=False
    )
    """What the operator's plans cost, by name: see `PlanPrices`."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del file_secret_settings  # *_FILE variables name their files one by one instead
        env = _EnvWithFiles(settings_cls, dotenv_settings)
        return init_settings, env, env_settings, dotenv_settings

    @model_validator(mode="after")
    def _no_default_secrets_in_production(self) -> Self:
        if self.environment is not Environment.PRODUCTION:
            return self
        if self.pin_memory_kib < ENOUGH_MEMORY_KIB:
            msg = f"PIN_MEMORY_KIB must be {ENOUGH_MEMORY_KIB} or more in production"
            raise ValueError(msg)
        secrets = [("SECRET_KEY", self.secret_key.get_secret_value())]
        secrets += [("SECRET_KEY_PREVIOUS", key) for key in _listed(self.previous_secret_keys)]
        secrets += [("ENCRYPTION_KEY", key) for key in self.encryption_keys or [""]]
        secrets += [(f"HMAC_KEY_V{n}", key.get_secret_value()) for n, key in self.hmac_keys.items()]
        for name, text in secrets:
            if text == DEV_SECRET or len(text.encode()) < MIN_KEY_BYTES:
                msg = f"{name} must be a secret of your own of at least 32 bytes in production"
                raise ValueError(msg)
        return self

    @property
    def secret_keys(self) -> list[str]:
        """The signing key, then the earlier ones."""
        return [self.secret_key.get_secret_value(), *_listed(self.previous_secret_keys)]

    @property
    def encryption_keys(self) -> list[str]:
        return _listed(self.encryption_key)

    @property
    def proxies(self) -> list[str]:
        return _split(self.trusted_proxies)

    @property
    def origins(self) -> list[str]:
        return _split(self.cors_origins)

    @property
    def production(self) -> bool:
        return self.environment is Environment.PRODUCTION

    @property
    def docs_enabled(self) -> bool:
        return not self.production if self.docs is None else self.docs


class _EnvWithFiles(EnvSettingsSource):
    """`NAME_FILE=/run/secrets/name` stands for `NAME`, and HMAC_KEY_V<n> are collected."""

    def __init__(self, settings_cls: type[BaseSettings], dotenv: PydanticBaseSettingsSource):
        super().__init__(settings_cls)
        in_file = getattr(dotenv, "env_vars", {})
        self._all = {key.upper(): value for key, value in {**in_file, **os.environ}.items()}

    def __call__(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for field, info in self.settings_cls.model_fields.items():
            alias = info.validation_alias
            names = alias.choices if isinstance(alias, AliasChoices) else [alias or field.upper()]
            for name in names:
                if path := self._all.get(f"{name}_FILE"):
                    found[field] = _read_secret(f"{name}_FILE", path)
        keys: dict[int, str] = {}
        for name, value in self._all.items():
            if (match := _HMAC_NAME.fullmatch(name)) and value:
                keys[int(match[1])] = _read_secret(name, value) if match[2] else value
        if keys:
            found["hmac_keys"] = keys
        return found


def _listed(secret: SecretStr) -> list[str]:
    return _split(secret.get_secret_value())


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _read_secret(name: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as unreadable:
        message = f"{name} names a file that cannot be read: {unreadable.strerror}"
        raise PlayParkError(ErrorCode.VALIDATION, message) from unreadable


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment. Raises PlayParkError that names each wrong variable."""
    try:
        return Settings(**overrides)
    except ValidationError as invalid:
        reasons = "; ".join(
            f"{'.'.join(str(part) for part in error['loc']) or 'secrets'}: {error['msg']}"
            for error in invalid.errors(include_input=False, include_url=False)
        )
        message = f"The configuration is not usable: {reasons}. See config/.env.example."
        raise PlayParkError(ErrorCode.VALIDATION, message) from None
