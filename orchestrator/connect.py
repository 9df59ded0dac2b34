"""Where the state and the broker are: what the settings say, else the embedded server of SUREFOOT_HOME."""

from urllib.parse import urlsplit

from orchestrator.embedded import endpoint
from orchestrator.errors import StoreUnavailable
from orchestrator.settings import Settings


def state_url(settings: Settings) -> str:
    """The URL of the Redis that holds the state.

    Raises:
        StoreUnavailable: none is configured and no embedded server runs.
    """
    url = settings.redis_url or endpoint(settings.home)
    if url is None:
        raise StoreUnavailable(
            f"no Redis: no embedded server runs in {settings.home}; run `surefoot up`, or set SUREFOOT_REDIS_URL"
        )
    return url.replace("redis+socket://", "unix://", 1)


def broker_url(settings: Settings) -> str:
    """The URL of the broker in Celery's form: the state's own Redis unless another is configured."""
    url = settings.broker_url or state_url(settings)
    parts = urlsplit(url)
    if parts.scheme in {"unix", "redis+socket"}:
        return f"redis+socket://{parts.path}?virtual_host=0"
    return url
