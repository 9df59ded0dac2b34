"""Names of language models as SUREFOOT_MODEL lists them: `provider:model`, or an OpenAI-compatible server's URL."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

PROVIDERS = ("openai", "anthropic", "google", "ollama")
URL, ANY = "url", "default"
_MODEL = re.compile(r"[\w.:/@+-]{1,200}", re.ASCII)


@dataclass(frozen=True)
class ModelName:
    """One model.

    Attributes:
        provider: one of `PROVIDERS`; `url` for a server that speaks OpenAI's protocol.
        model: the provider's name of the model.
        url: where that server is, without a model.
    """

    provider: str
    model: str
    url: str = ""

    def __str__(self) -> str:
        """As it is written in SUREFOOT_MODEL and in the price table."""
        return f"{self.url}#{self.model}" if self.url else f"{self.provider}:{self.model}"

    @property
    def here(self) -> bool:
        """Whether it is asked at a loopback address of this machine."""
        host = urlsplit(self.url).hostname or ""
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False


def models(text: str) -> tuple[ModelName, ...]:
    """The models of a comma-separated list: the first is asked, each next one where those before it cannot answer.

    Raises:
        ValueError: one of them is no model; says what would be.
    """
    return tuple(_model(part.strip()) for part in text.split(",") if part.strip())


def _model(text: str) -> ModelName:
    if "://" in text:
        return _at_url(text)
    provider, _, model = text.partition(":")
    if provider not in PROVIDERS or not _MODEL.fullmatch(model):
        ways = ", ".join(f"{one}:MODEL" for one in PROVIDERS)
        raise ValueError(f"{text!r} is no model; say {ways}, or a URL such as http://127.0.0.1:8080/v1#MODEL")
    return ModelName(provider, model)


def _at_url(text: str) -> ModelName:
    url, _, model = text.partition("#")
    parts, model = urlsplit(url), model or ANY
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or not _MODEL.fullmatch(model):
        raise ValueError("a model's URL is http(s)://HOST[:PORT]/PATH#MODEL; its key belongs into SUREFOOT_MODEL_KEY")
    return ModelName(URL, model, url.rstrip("/"))
