"""What an error of the MCP client means for a call: one pure function from its code and data to an outcome."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, cast

from mcp.shared.exceptions import MCPError
from mcp.types import CONNECTION_CLOSED, HEADER_MISMATCH, INTERNAL_ERROR, PARSE_ERROR, REQUEST_TIMEOUT

from tools.outcome import OutcomeUnknown, Rejected, ToolFailure, Unavailable
from tools.transport import HTTP_FAILED, TOO_LARGE, TRANSPORT_FAILED

UNKNOWN = frozenset({CONNECTION_CLOSED, INTERNAL_ERROR, PARSE_ERROR, REQUEST_TIMEOUT})
LONGEST_RETRY_AFTER_S = 3_600.0
SERVER_ERRORS = 500


def failure(tool: str, error: MCPError) -> ToolFailure:
    """The outcome of a call that ended in this error."""
    message, data = error.message, _data(error)
    if error.code == TOO_LARGE:
        return Rejected(tool, message)  # it was executed, and would bring the same answer again
    if error.code == TRANSPORT_FAILED:
        return OutcomeUnknown(tool, message) if data.get("maybe_executed", True) else Unavailable(tool, message)
    if error.code == HTTP_FAILED:
        return _http_failure(tool, message, data)
    if error.code in UNKNOWN:
        return OutcomeUnknown(tool, message)
    if error.code == HEADER_MISMATCH:  # its list of tools changed; refused before it was executed
        return Unavailable(tool, message)
    return Rejected(tool, message)


def session_lost(error: MCPError) -> bool:
    """Whether the server does not know the session of an older protocol any more: it was started anew."""
    return error.code == HTTP_FAILED and bool(_data(error).get("session_lost"))


def list_changed(error: MCPError) -> bool:
    """Whether the server's tools are not those that were listed."""
    return error.code == HEADER_MISMATCH


def retry_after_s(value: str | None) -> float | None:
    """A Retry-After header in seconds: a number, or a date (RFC 9110, 10.2.3). At most an hour."""
    if not value:
        return None
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return min(float(value), LONGEST_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max((at - datetime.now(UTC)).total_seconds(), 0.0), LONGEST_RETRY_AFTER_S)


def _http_failure(tool: str, message: str, data: Mapping[str, Any]) -> ToolFailure:
    """By RFC 9110: 429 was not executed, nor 503 where the server itself says when to come back.

    A bare 503 may come from a proxy whose connection broke after the request was through. Other client errors
    are a no, other server errors leave it open.
    """
    status, wait_s = int(data.get("http_status", SERVER_ERRORS)), retry_after_s(data.get("retry_after"))
    if status in {425, 429} or (status == 503 and wait_s is not None):  # noqa: PLR2004
        return Unavailable(tool, message, wait_s)
    if data.get("session_lost"):
        return Unavailable(tool, "the server does not know our session any more")
    return OutcomeUnknown(tool, message) if status >= SERVER_ERRORS else Rejected(tool, message)


def _data(error: MCPError) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", error.data) if isinstance(error.data, dict) else {}
