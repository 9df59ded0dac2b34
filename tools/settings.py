"""The only place of this package that reads the environment."""

import os
import re

VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TMPDIR", "TZ", "USER")


class MissingVariable(Exception):
    """A ${VARIABLE} of a configuration is not set; the message is its name."""


def expand(text: str) -> str:
    """Fill ${VAR} and ${VAR:-default} in from the environment.

    Raises:
        MissingVariable: names the variable.
    """

    def value(found: re.Match[str]) -> str:
        default: str | None = found["default"]
        text = os.environ.get(found["name"], default)
        if text is None:
            raise MissingVariable(found["name"])
        return text

    return VARIABLE.sub(value, text)


def child_environment(own: dict[str, str]) -> dict[str, str]:
    """What a tool server started by us sees: what finds programs and homes, and what its configuration gives it.

    Our own settings and secrets are not passed on.
    """
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | own
