"""What the Bot API answers when it refuses: an HTTP status, the same number as `error_code`, and a description.

Clients choose by status and read the description word by word, so both are part of the protocol.
"""

from __future__ import annotations

from typing import Any

NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current "
    "content and reply markup of the message"
)


class ApiError(Exception):
    """A refusal as the client sees it. `parameters` carries `retry_after` or `migrate_to_chat_id`."""

    def __init__(self, code: int, description: str, parameters: dict[str, Any] | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters or {}

    def body(self) -> dict[str, Any]:
        """The JSON object to answer with."""
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            body["parameters"] = self.parameters
        return body


class BadRequest(ApiError):
    """400. The reason's first letter is lowered as the official server does, unless it is a CODE_LIKE_THIS."""

    def __init__(self, reason: str, parameters: dict[str, Any] | None = None) -> None:
        is_code = len(reason) > 1 and (reason[1] == "_" or "A" <= reason[1] <= "Z")
        shown = reason if is_code else reason[:1].lower() + reason[1:]
        super().__init__(400, f"Bad Request: {shown}", parameters)


class Forbidden(ApiError):
    """403: the chat is out of the bot's reach for good (blocked, deactivated, kicked)."""

    def __init__(self, reason: str) -> None:
        super().__init__(403, f"Forbidden: {reason}")


class TooManyRequests(ApiError):
    """429 with `parameters.retry_after` in seconds; the same number goes into the Retry-After header."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(429, f"Too Many Requests: retry after {retry_after}", {"retry_after": retry_after})
