"""The Django admin of the chat: look at everything, change what is not history."""

from chat.admin import conversations, generations, keys

__all__ = ["conversations", "generations", "keys"]
