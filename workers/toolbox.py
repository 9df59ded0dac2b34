"""Which tool servers a worker has."""

from orchestrator.settings import Settings
from orchestrator.telemetry.redaction import know
from tools.config import ToolConfig, load


def tool_config(settings: Settings) -> ToolConfig:
    """The tool servers: what SUREFOOT_MCP_CONFIG names, else what `surefoot up` wrote into SUREFOOT_HOME, else none."""
    path = settings.mcp_config or settings.home / "mcp.json"
    if settings.mcp_config is None and not path.exists():
        return ToolConfig()
    config = load(path)
    secrets = frozenset[str]().union(*(server.secrets for server in config.servers.values()))
    know({f"secret {number}": secret for number, secret in enumerate(secrets)})
    return config
