"""The Django admin of the chat: look at everything, change what is not history."""

from chat.admin import budgets, conversations, generations, keys, shares

__all__ = ["budgets", "conversations", "generations", "keys", "shares"]
