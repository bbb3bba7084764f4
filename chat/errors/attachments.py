"""What is wrong with a file; each message names it."""

from chat.errors.base import ChatError


class AttachmentTooLarge(ChatError):
    """A file is over its limit, or all that were uploaded and not sent are together."""

    code = "attachment_too_large"
    status = 413


class UnsupportedFile(ChatError):
    """A file is neither text nor an image that can be read."""

    code = "unsupported_file"
    status = 415


class ImagesNotSupported(ChatError):
    """The model takes no images."""

    code = "images_not_supported"
    status = 422
