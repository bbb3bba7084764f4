"""The models to choose from, as the HTTP API describes them."""

from typing import Any

from ninja import Schema

from chat.llm.registry import ModelInfo
from chat.llm.vision import takes_images


class Model(Schema):
    name: str
    label: str
    provider: str
    description: str
    images: bool


class Models(Schema):
    items: list[Model]


def as_model(model: ModelInfo) -> dict[str, Any]:
    return {
        "name": model.name,
        "label": model.label or model.name,
        "provider": model.provider,
        "description": model.description,
        "images": takes_images(model.name),
    }
