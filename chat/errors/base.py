"""What every error has."""

from typing import Any, ClassVar


class ChatError(Exception):
    """Base class. Raise a subclass."""

    code: ClassVar[str]
    status: ClassVar[int] = 400
    retryable: ClassVar[bool] = False
    default_message: ClassVar[str] = ""

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message or self.default_message)
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        """Return the error object of `docs/protocol.md`."""
        return {"code": self.code, "message": str(self), "retryable": self.retryable}
