"""What the clients of other servers send, as checked values, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from chat.errors import BadRequest
from chat.wire.frames import explain
from chat.wire.parse import parse_object


class Unprocessable(BadRequest):
    """A request that lacks something, with the list of what in the form of these servers."""

    status: ClassVar[int] = 422

    def __init__(self, place: str, errors: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(explain(errors))
        self.detail = [_placed(place, each) for each in errors]


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


Form = TypeVar("Form", bound=Lenient)


def parse_body(form: type[Form], raw: bytes) -> Form:
    """Return what a body says. Raise Unprocessable."""
    try:
        content = parse_object(raw)
    except BadRequest as exc:
        raise wrong("body", message=str(exc), kind="json_invalid") from None
    return _validate(form, content, "body")


def parse_query(form: type[Form], query: Mapping[str, str]) -> Form:
    """Return what the parameters of an address say. Raise Unprocessable."""
    return _validate(form, query, "query")


def wrong(place: str, *field: str, message: str, kind: str = "value_error") -> Unprocessable:
    """Return the error that one thing is wrong."""
    return Unprocessable(place, [{"type": kind, "loc": field, "msg": message}])


def _validate(form: type[Form], content: Mapping[str, Any], place: str) -> Form:
    try:
        return form.model_validate(content)
    except ValidationError as exc:
        raise Unprocessable(place, exc.errors(include_url=False)) from None


def _placed(place: str, error: Mapping[str, Any]) -> dict[str, Any]:
    placed = {"type": error["type"], "loc": [place, *error["loc"]], "msg": error["msg"]}
    if place == "body" and "input" in error:
        placed["input"] = error["input"]
    return placed
