"""Event logs as rows, when they were written, and the processes that write them."""

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from chat.models.chats import Generation
from chat.models.ids import new_id


class StoredEvent(models.Model):
    """One event of a log. Its rows go some time after their generation has ended."""

    pk = models.CompositePrimaryKey("generation_id", "cursor")
    generation = models.ForeignKey(
        Generation, on_delete=models.CASCADE, related_name="+", db_index=False
    )
    cursor = models.PositiveIntegerField()
    kind = models.CharField(max_length=11)
    data = models.TextField()  # The encoding that every reader gets.

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            # One row per log: which are kept is found without reading them.
            models.Index(
                fields=["generation"], condition=models.Q(cursor=1), name="event_log_kept"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cursor} {self.kind}"


class Timing(models.Model):
    """
    When the text of an answer came.

    Apart from its generation, whose row is read everywhere, for it is long.
    """

    generation = models.OneToOneField(
        Generation, on_delete=models.CASCADE, primary_key=True, related_name="timing"
    )
    # [[milliseconds since its writer began, code points that came then], …]
    marks = models.JSONField()
    # From the first thought to the first text; null where nothing was thought aloud before it.
    thought_ms = models.PositiveIntegerField(null=True)

    class Meta:
        verbose_name = _("timing")
        verbose_name_plural = _("timings")

    def __str__(self) -> str:
        return str(self.generation_id)


class Worker(models.Model):
    """
    A process that runs generations.

    It counts ``beats`` up for as long as it lives. Others take over what it ran
    once the count has stood still for some seconds of their own clocks: no two
    machines' clocks are ever compared.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(_("name"), max_length=200)
    beats = models.PositiveBigIntegerField(_("beats"), default=0)
    started_at = models.DateTimeField(_("started"), default=timezone.now, editable=False)

    class Meta:
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name
