"""The Django admin of the chat: look at everything, change what is not history."""

from chat.admin import (
    audit,
    budgets,
    conversations,
    generations,
    keys,
    personas,
    ratings,
    retention,
    served,
    shares,
)

__all__ = [
    "audit",
    "budgets",
    "conversations",
    "generations",
    "keys",
    "personas",
    "ratings",
    "retention",
    "served",
    "shares",
]
