"""What the database keeps."""

from chat.models.annotations import Annotation, AnnotationQuerySet
from chat.models.api_keys import ApiKey, ApiKeyQuerySet
from chat.models.attachments import Attachment, AttachmentQuerySet, load_files
from chat.models.budgets import Budget, Price
from chat.models.chats import (
    Conversation,
    ConversationQuerySet,
    Generation,
    GenerationQuerySet,
    Message,
    MessageQuerySet,
)
from chat.models.logs import StoredEvent, Timing, Worker
from chat.models.personas import Persona, PersonaQuerySet, PersonaVersion
from chat.models.preferences import Preferences
from chat.models.provenance import Provenance
from chat.models.ratings import Rating, RatingQuerySet
from chat.models.retention import RetentionRule, RetentionRuleQuerySet
from chat.models.served import ServedModel, ServedModelQuerySet
from chat.models.shares import Share, ShareQuerySet
from chat.models.steps import Step, StepQuerySet
from chat.models.usage import Spending, Usage

__all__ = [
    "Annotation",
    "AnnotationQuerySet",
    "ApiKey",
    "ApiKeyQuerySet",
    "Attachment",
    "AttachmentQuerySet",
    "Budget",
    "Conversation",
    "ConversationQuerySet",
    "Generation",
    "GenerationQuerySet",
    "Message",
    "MessageQuerySet",
    "Persona",
    "PersonaQuerySet",
    "PersonaVersion",
    "Preferences",
    "Price",
    "Provenance",
    "Rating",
    "RatingQuerySet",
    "RetentionRule",
    "RetentionRuleQuerySet",
    "ServedModel",
    "ServedModelQuerySet",
    "Share",
    "ShareQuerySet",
    "Spending",
    "Step",
    "StepQuerySet",
    "StoredEvent",
    "Timing",
    "Usage",
    "Worker",
    "load_files",
]
