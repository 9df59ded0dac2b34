"""Settings of the travel tool servers, from the environment as SUREFOOT_<NAME>."""

from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

LEDGERS = ("sqlite:///", "postgresql://", "postgres://")


class TravelSettings(BaseSettings):
    """Where the servers keep bookings and facts."""

    model_config = SettingsConfigDict(env_prefix="SUREFOOT_", frozen=True, extra="ignore")

    home: Path = Field(
        Path(".surefoot"), description="Folder of the embedded server, its files and the tools' ledgers."
    )
    data: Path | None = Field(None, description="Folder of the flight table, built once. Empty: data in SUREFOOT_HOME.")
    ledger_url: str = Field(
        "", description="Bookings: sqlite:///file or postgresql://... Empty: ledger.sqlite in SUREFOOT_HOME."
    )
    tools_token: str = Field("", description="Bearer token that the tool servers ask for. Empty: none.")
    otlp_endpoint: str = Field(
        "",
        pattern="^((https?|grpcs?)://.+)?$",
        description="OTLP endpoint for spans, e.g. http://localhost:4318 or grpc://localhost:4317. Empty: none.",
    )

    @field_validator("ledger_url")
    @classmethod
    def _known(cls, url: str) -> str:
        if url and not url.startswith(LEDGERS):
            raise ValueError(f"{url.partition(':')[0]!r} is neither sqlite:///file nor postgresql://...")
        return url

    @property
    def data_folder(self) -> Path:
        """Where the facts are."""
        return self.data or self.home / "data"

    @property
    def ledger(self) -> str:
        """The ledger's URL."""
        return self.ledger_url or f"sqlite:///{(self.home / 'ledger.sqlite').resolve()}"


def load() -> TravelSettings:
    """The settings of this process; nonsense ends it with one line that names the variable."""
    try:
        return TravelSettings.model_validate({})
    except ValidationError as error:
        said = [f"SUREFOOT_{'.'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors()]
        raise SystemExit("\n".join(said)) from None
