"""Where the state and the broker are: what the settings say, else the embedded server of SUREFOOT_HOME."""

from urllib.parse import parse_qsl, urlsplit

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
    if url.startswith("redis+socket://"):
        return url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=", 1)
    return url


def broker_url(settings: Settings) -> str:
    """The URL of the broker in Celery's form: the state's own Redis unless another is configured."""
    url = settings.broker_url or state_url(settings)
    parts = urlsplit(url)
    if parts.scheme in {"unix", "redis+socket"}:
        login, at, _ = parts.netloc.rpartition("@")
        query = dict(parse_qsl(parts.query))
        return f"redis+socket://{login}{at}{parts.path}?virtual_host={query.get('db', query.get('virtual_host', '0'))}"
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parts.query:  # kombu alone would check no certificate
        return f"{url}{'&' if parts.query else '?'}ssl_cert_reqs=required"
    return url
