"""What is kept of how an answer was asked for: parameters, a system prompt, its price."""

from typing import TYPE_CHECKING

from chat.generations.usage import Used
from chat.models import Provenance

if TYPE_CHECKING:
    from chat.generations.turns import Run


def save(run: "Run", used: Used) -> None:
    """Save the provenance of an answer that ends in this transaction, if there is any to tell."""
    if run.options or run.system or used.currency:
        Provenance.objects.create(
            generation_id=run.generation_id,
            parameters=dict(run.options),
            system_prompt=run.system or "",
            cost=used.cost,
            currency=used.currency,
        )
