"""What an answer has used, added to its day's sums by the transaction that ends it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db import connection

from chat.chain import CHARACTERS_PER_TOKEN
from chat.generations.end import End
from chat.generations.rates import rates
from chat.models import Generation, Usage
from chat.models.usage import today

if TYPE_CHECKING:
    from chat.generations.turns import Run

_TABLE = Usage._meta.db_table
# In plain SQL: one statement, which two that end at the same time cannot both insert.
_ADD = f"""
INSERT INTO {_TABLE}
    (day, user_id, model, currency, answers, estimated, input_tokens, output_tokens, cost)
VALUES (%s, %s, %s, %s, 1, %s, %s, %s, %s)
ON CONFLICT (day, user_id, model, currency) DO UPDATE SET
    answers = {_TABLE}.answers + 1,
    estimated = {_TABLE}.estimated + excluded.estimated,
    input_tokens = {_TABLE}.input_tokens + excluded.input_tokens,
    output_tokens = {_TABLE}.output_tokens + excluded.output_tokens,
    cost = {_TABLE}.cost + excluded.cost
"""  # noqa: S608 - our own names


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Tokens and what they cost, in billionths of a currency."""

    input_tokens: int
    output_tokens: int
    cost: int = 0
    currency: str = ""
    is_estimate: bool = False


def priced(run: "Run", input_tokens: int, output_tokens: int, *, is_estimate: bool) -> Used:
    """Return what tokens of a run come to, at the price that is in force."""
    price = rates().price_of(run.model)
    return Used(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=price.cost(input_tokens, output_tokens) if price else 0,
        currency=price.currency if price else "",
        is_estimate=is_estimate,
    )


def used_by(run: "Run", end: End) -> Used:
    """Return what a run has used: as its model counted, else by estimate."""
    counted = end.facts.usage
    if counted and {"input_tokens", "output_tokens"} <= counted.keys():
        tokens = max(counted["input_tokens"], 0), max(counted["output_tokens"], 0)
        return priced(run, *tokens, is_estimate=False)
    written = max(len(end.text) - len(run.kept), 0) + len(end.reasoning)
    if not written and end.status == Generation.Status.FAILED:
        return priced(run, 0, 0, is_estimate=True)  # Refused, as like as not: nobody charges it.
    return priced(run, prompt_tokens(run), tokens_of(written), is_estimate=True)


def prompt_tokens(run: "Run") -> int:
    """Return how many tokens the model was given, by estimate."""
    length = sum(len(text) for _, text in run.history) + len(run.prompt) + len(run.system or "")
    return tokens_of(length)


def tokens_of(length: int) -> int:
    """Return how many tokens a text of so many characters has, by estimate."""
    return -(-length // CHARACTERS_PER_TOKEN)


def add(run: "Run", end: End) -> Used:
    """Add a run that ends in this transaction to the usage, and return its own. One statement."""
    used = used_by(run, end)
    owner = Usage._meta.get_field("user").get_db_prep_value(run.owner_id, connection)
    day = connection.ops.adapt_datefield_value(today())
    values = [used.is_estimate, used.input_tokens, used.output_tokens, used.cost]
    with connection.cursor() as cursor:
        cursor.execute(_ADD, [day, owner, run.model, used.currency, *map(int, values)])
    return used
