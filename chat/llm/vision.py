"""Which models take images."""

from fnmatch import fnmatchcase

from chat.conf import chat_settings
from chat.llm import served

# Of the name after its provider: families that are known to.
KNOWN = (
    *("gpt-4o*", "gpt-4.1*", "gpt-4.5*", "gpt-5*", "o1", "o1-2*", "o3", "o3-2*", "o4-mini*"),
    *("chatgpt-4o*", "gpt-4-turbo*", "*-vision*", "*vision*", "*-vl*", "*vl:*", "qwen*vl*"),
    *("llava*", "bakllava*", "moondream*", "minicpm-v*", "gemma3*", "gemma-3*", "llama4*"),
    *("llama-4*", "mistral-small3*", "pixtral*", "granite3.2-vision*", "claude-*", "gemini-*"),
)


def takes_images(name: str) -> bool:
    """
    Tell whether a model takes images: as staff say, else by its name. The demo takes none.

    ``IMAGE_MODELS`` holds patterns or beginnings of names, with or without the
    provider; without any, what is known of the usual families counts.
    """
    if name == "demo":
        return False
    row = served.find(name)
    if row is not None and row.images is not None:
        return row.images
    model = (row.model if row else "") or name.partition(":")[2] or name
    bare = model.rpartition("/")[2]  # Some servers put a maker before it.
    patterns = chat_settings().image_models
    if not patterns:
        return any(fnmatchcase(each.lower(), p) for each in {model, bare} for p in KNOWN)
    return any(
        fnmatchcase(each, p) or each.startswith(p) for each in (name, model) for p in patterns
    )
