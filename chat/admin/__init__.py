"""The Django admin of the chat: look at everything, change what is not history."""

from chat.admin import conversations, generations, keys, shares

__all__ = ["conversations", "generations", "keys", "shares"]
