"""Every setting of Surefoot: one documented field each, read from the environment as SUREFOOT_<NAME>."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from orchestrator.errors import SurefootError
from orchestrator.models import ModelName, models

Signal = Literal["traces", "metrics", "logs"]


class InvalidSettings(SurefootError):
    """A setting is wrong; nothing was started."""


class Standard(BaseSettings):
    """OpenTelemetry's own variables that say where each signal goes; its SDK reads headers and the like itself."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", frozen=True, extra="ignore", env_ignore_empty=True)

    exporter_otlp_endpoint: str = ""
    exporter_otlp_traces_endpoint: str = ""
    exporter_otlp_metrics_endpoint: str = ""
    exporter_otlp_logs_endpoint: str = ""
    exporter_otlp_protocol: str = "http/protobuf"
    exporter_otlp_traces_protocol: str = ""
    exporter_otlp_metrics_protocol: str = ""
    exporter_otlp_logs_protocol: str = ""
    traces_exporter: str = "otlp"
    metrics_exporter: str = "otlp"
    logs_exporter: str = "otlp"

    def endpoint(self, signal: Signal, ours: str) -> str:
        """The full URL of a signal's HTTP intake, or grpc(s)://host:port, or nothing.

        A signal's own variable is believed first, then `ours`, then the one for all signals.
        """
        if getattr(self, f"{signal}_exporter") == "none":
            return ""
        own = getattr(self, f"exporter_otlp_{signal}_endpoint")
        if not own and ours:
            return _intake(ours, signal)
        protocol = getattr(self, f"exporter_otlp_{signal}_protocol") or self.exporter_otlp_protocol
        url = own or self.exporter_otlp_endpoint
        if url and (not _URL.match(url) or protocol not in {"grpc", "http/protobuf"}):
            what = f"{self._variable(signal)}={shown(url)}, with the protocol {protocol!r}"
            raise InvalidSettings(f"{what}: a URL by grpc or http/protobuf is wanted")
        if protocol == "grpc":
            return re.sub("^http", "grpc", url)
        return url if own or not url else _intake(url, signal)

    def source(self, signal: Signal, endpoint: str) -> str:
        """The variable that says this endpoint of a signal."""
        return self._variable(signal) if self.endpoint(signal, "") == endpoint else "SUREFOOT_OTLP_ENDPOINT"

    def _variable(self, signal: Signal) -> str:
        own = getattr(self, f"exporter_otlp_{signal}_endpoint")
        return f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT" if own else "OTEL_EXPORTER_OTLP_ENDPOINT"


_LOGIN = re.compile(r"//[^/]*@")
_URL = re.compile("^(https?|grpcs?)://.+")


def shown(value: object) -> str:
    """What was set, as it is said again: without the login of a URL."""
    return _LOGIN.sub("//***@", repr(value))


def _intake(url: str, signal: Signal) -> str:
    """A signal's intake at an endpoint that is said for all."""
    if url.startswith("grpc"):
        return url
    return f"{url.removesuffix('/v1/traces').rstrip('/')}/v1/{signal}"


class Settings(BaseSettings):
    """Where things are and how patient Surefoot is. `docs/configuration.md` is checked against this class."""

    model_config = SettingsConfigDict(env_prefix="SUREFOOT_", frozen=True, extra="ignore")

    redis_url: str = Field(
        "",
        pattern=r"^((rediss?|unix|redis\+socket)://.+)?$",
        description="State: redis://, rediss:// or unix:// URL. Empty: the embedded server of SUREFOOT_HOME.",
    )
    broker_url: str = Field(
        "",
        pattern=r"^((rediss?|unix|redis\+socket|amqps?|pyamqp)://.+)?$",
        description="Celery broker: a Redis or amqp:// URL. Empty: the same Redis as the state (outbox).",
    )
    home: Path = Field(
        Path(".surefoot"), description="Folder of the embedded server, its files and the tools' ledgers."
    )
    workflows: Annotated[tuple[str, ...], NoDecode] = Field(
        ("workers.trip",), description="Modules that define workflows and specialists, comma separated."
    )
    mcp_config: Path | None = Field(
        None, description="The mcp.json that names the tool servers. Empty: the one `surefoot up` wrote."
    )
    lease_s: float = Field(
        2.5, gt=0.3, le=3600, description="How long a step stays with a worker that no longer answers, seconds."
    )
    sweep_s: float = Field(0.25, gt=0.01, le=60, description="How often each worker's sweeper looks, seconds.")
    grace_s: float = Field(
        2.0, gt=0.05, le=600, description="How late a message may be before it counts as lost, seconds."
    )
    version: str = Field(
        "",
        max_length=100,
        description="Label of the deployed code, e.g. a commit: kept with each job, named in refusals.",
    )
    unknown_s: float = Field(
        300.0, ge=0, le=86_400, description="How long a step waits for a worker that knows its specialist, seconds."
    )
    stop_s: float = Field(
        30.0, ge=0, le=3600, description="How long a worker told to stop lets running steps go on, seconds."
    )
    tenants: Path | None = Field(
        None, description="JSON file of what each tenant may spend (docs/budgets.md). Empty: no ceilings."
    )
    prices: Path | None = Field(
        None, description="JSON file of what tools and models cost (docs/budgets.md). Empty: only mcp.json's prices."
    )
    undo_calls: int = Field(
        1_000, ge=0, le=100_000, description="Tool calls that undoing one job may take, beside its budget."
    )
    model: str = Field(
        "", description="Language models, the first that can answers: docs/models.md. Empty: none, and none is asked."
    )
    model_key: SecretStr = Field(
        SecretStr(""), description="Key for models that are named by URL; the providers' keys have their own variables."
    )
    model_calls: str = Field(
        "allow",
        pattern="^(allow|forbid)$",
        description="forbid: only models at a loopback address of this machine are asked, as in tests.",
    )
    model_timeout_s: float = Field(120.0, gt=0, le=3_600, description="The longest one model call may take, seconds.")
    model_max_tokens: int = Field(
        2_048, ge=1, le=1_000_000, description="Most tokens of a model's answer where the call does not say, reserved."
    )
    model_cache_s: int = Field(
        0,
        ge=0,
        le=30 * 86_400,
        description="How long a model's answer is given again to the same request of a tenant, seconds. 0: never.",
    )
    attempts: int = Field(
        10,
        ge=1,
        le=100,
        description="Attempts of one step before it fails for good; with the default backoff they take 1 to 2 minutes.",
    )
    backoff_s: float = Field(
        0.5, gt=0, le=60, description="First delay of the exponential backoff, seconds; half to all of each is waited."
    )
    backoff_max_s: float = Field(30.0, gt=0, le=600, description="Longest delay between two attempts, seconds.")
    retention_s: int = Field(7 * 86_400, ge=60, description="How long a finished job is kept, seconds.")
    catalogue_ttl_s: float = Field(
        300.0, gt=0, description="How long a tool server's list of tools is believed, seconds."
    )
    redis_patience_s: float = Field(
        30.0, ge=0, description="How long a command waits for a lost Redis to come back, seconds."
    )
    request_bytes: int = Field(
        262_144, ge=1_024, description="Largest request, answer, step output or question, bytes of JSON."
    )
    answer_bytes: int = Field(1_048_576, ge=1_024, description="Largest answer of one tool call, bytes of JSON.")
    trace: bool = Field(
        True, description="Record spans: kept in Redis for `surefoot trace`, exported when an OTLP endpoint is set."
    )
    trace_sample: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Share of jobs that are traced as a whole; of the others the attempts in which something goes wrong.",
    )
    trace_content: str = Field(
        "redacted",
        pattern="^(redacted|none)$",
        description="Prompts, answers, arguments and results in spans: redacted, or none of them.",
    )
    trace_retention_s: int = Field(7 * 86_400, ge=60, description="How long a job's spans are kept in Redis, seconds.")
    otlp_endpoint: str = Field(
        "",
        pattern="^((https?|grpcs?)://.+)?$",
        description="OTLP endpoint, e.g. http://localhost:4318 or grpc://localhost:4317. Empty: OpenTelemetry's own variables (docs/telemetry.md).",
    )
    metrics_port: int = Field(
        0, ge=0, le=65_535, description="Port of a worker's or sweeper's /metrics and /healthz. 0 or empty: none."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of that port; 0.0.0.0 lets other machines read it.")
    events: bool = Field(False, description="Send Celery worker events (Flower needs them; on in `surefoot up`).")
    log_format: str = Field(
        "auto", pattern="^(auto|console|json)$", description="Log lines: console, json, or by whether a person watches."
    )
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe log line shown.")

    @field_validator("workflows", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("metrics_port", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return value if value != "" else 0

    @field_validator("model")
    @classmethod
    def _models(cls, value: str) -> str:
        models(value)
        return value

    @property
    def models(self) -> tuple[ModelName, ...]:
        """The models of SUREFOOT_MODEL, in the order in which they are asked."""
        return models(self.model)

    @property
    def stopped_within_s(self) -> float:
        """By when a worker that was told to stop has ended: its grace, then what was cut off is given back."""
        return self.stop_s + 20.0

    def otlp(self, signal: Signal) -> str:
        """Where a signal goes by OTLP: the full URL of an HTTP intake, or grpc(s)://host:port. Empty: nowhere.

        Raises:
            InvalidSettings: one of OpenTelemetry's own variables makes no sense.
        """
        return Standard().endpoint(signal, self.otlp_endpoint)

    @cached_property
    def given(self) -> dict[str, str]:
        """What this process was given, by name: its environment, the key of its models, the passwords in its URLs."""
        urls = {"redis": self.redis_url, "broker": self.broker_url, "otlp": self.otlp_endpoint}
        passwords = {f"{name} password": _password(url) for name, url in urls.items()}
        return {**os.environ, **passwords, "model key secret": self.model_key.get_secret_value()}

    @cached_property
    def outbox(self) -> bool:
        """Whether broker and state are the same Redis, so that scripts enqueue messages themselves."""
        return not self.broker_url or self.broker_url == self.redis_url


def _password(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:  # whoever connects says what is wrong with it
        return ""


def _wrong(error: ErrorDetails) -> str:
    """What is wrong with a variable."""
    name = "_".join(map(str, error["loc"])).upper()
    return f"SUREFOOT_{name}={shown(error['input'])}: {error['msg']}"


def load(**overrides: Any) -> Settings:
    """The settings of this process.

    Raises:
        InvalidSettings: names each wrong variable, what it is, and what it should be.
    """
    try:
        settings = Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as error:
        raise InvalidSettings("; ".join(map(_wrong, error.errors()))) from None
    for signal in get_args(Signal):
        settings.otlp(signal)
    return settings
