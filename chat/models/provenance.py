"""How an answer was asked for, and what it cost, as that was when it was given."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from chat.models.chats import Generation
from chat.models.usage import NANO


class Provenance(models.Model):
    """
    What conversations and prices may say otherwise by now.

    Apart from its generation, whose row is read everywhere, for a system prompt
    may be long. An answer that was asked for without any of it has no row.
    """

    generation = models.OneToOneField(
        Generation, on_delete=models.CASCADE, primary_key=True, related_name="provenance"
    )
    parameters = models.JSONField(default=dict, blank=True)
    # What the conversation itself or its client told the model; empty: the site's own.
    system_prompt = models.TextField(blank=True)
    cost = models.BigIntegerField(default=0)  # In billionths.
    currency = models.CharField(max_length=3, blank=True)

    class Meta:
        verbose_name = _("provenance")
        verbose_name_plural = _("provenances")

    def __str__(self) -> str:
        return str(self.generation_id)

    @property
    def money(self) -> float:
        return self.cost / NANO
