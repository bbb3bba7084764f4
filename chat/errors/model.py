"""What a model provider did."""

from chat.errors.base import ChatError


class ModelError(ChatError):
    """Base class for what ends a generation as ``failed``."""

    status = 502
    retryable = True


class UpstreamUnreachable(ModelError):
    """No connection: refused, no such host, TLS failure, connect timeout."""

    code = "upstream_unreachable"
    default_message = "The model server cannot be reached. Check its address and that it runs."


class UpstreamTimeout(ModelError):
    """No first token, or no further token, in the time allowed."""

    code = "upstream_timeout"
    status = 504
    default_message = "The model stopped answering in time."


class UpstreamReset(ModelError):
    """The connection broke in mid-answer."""

    code = "upstream_reset"
    default_message = "The connection to the model broke. The text so far is kept."


class UpstreamTruncated(ModelError):
    """The stream ended cleanly but without a finish reason."""

    code = "upstream_truncated"
    default_message = "The model's answer ended before it was complete. The text so far is kept."


class UpstreamProtocol(ModelError):
    """What came is not an OpenAI-compatible event stream."""

    code = "upstream_protocol"
    default_message = "The model server answered in a form that cannot be read."


class UpstreamError(ModelError):
    """The provider reported an error of its own, before or during the answer."""

    code = "upstream_error"
    default_message = "The model server reported an error."


class UpstreamRateLimited(ModelError):
    """The provider refused the request for now."""

    code = "upstream_rate_limited"
    status = 429
    default_message = "The model provider is refusing requests for now. Try again later."


class UpstreamAuth(ModelError):
    """The provider does not accept the configured key."""

    code = "upstream_auth"
    retryable = False
    default_message = "The model provider refused the site's key. An administrator must set it."


class UpstreamModelNotFound(ModelError):
    """The provider does not know the model."""

    code = "upstream_model_not_found"
    retryable = False
    default_message = "The model provider does not know this model. Choose another."


class ContextTooLong(ModelError):
    """The conversation does not fit the model."""

    code = "context_too_long"
    status = 400
    retryable = False
    default_message = "The conversation is too long for this model. Start a new one."


class UpstreamRejected(ModelError):
    """The provider refused the request for another reason; repeating it will not help."""

    code = "upstream_rejected"
    status = 400
    retryable = False
    default_message = "The model provider did not accept the request."


class AnswerTooLong(ModelError):
    """The answer passed ``MAX_ANSWER_BYTES``."""

    code = "too_long"
    retryable = False
    default_message = "The answer grew past the limit of this site. The text so far is kept."


class GenerationTimeout(ModelError):
    """The answer took longer than ``MAX_GENERATION_SECONDS``."""

    code = "generation_timeout"
    status = 504
    default_message = "The answer took longer than this site allows. The text so far is kept."
