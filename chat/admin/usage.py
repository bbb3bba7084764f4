"""What was used, drawn, and the same as a table and as CSV."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template.response import TemplateResponse
from django.utils import formats
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _now
from django.views.decorators.http import require_POST

from chat.admin.base import may_view, username_of
from chat.admin.figures import NEWEST, Period
from chat.audit import note
from chat.drawing.charts import (
    Series,
    Words,
    colour_of,
    draw_bars,
    draw_columns,
    draw_lines,
    draw_shares,
)
from chat.models import Generation, Rating, Usage
from chat.models.usage import NANO

if TYPE_CHECKING:
    from django.contrib.auth.base_user import AbstractBaseUser

PERIODS = (7, 30, 90)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # What a spreadsheet would take for one.
CSV_ROWS = 1000  # At most so many rows in memory.


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A picture and the table that says the same."""

    title: str
    svg: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    legend: Sequence[tuple[str, str]] = field(default=())  # The class of a colour, and its name.


def usage_page(request: HttpRequest) -> HttpResponse:
    """Show the usage of a period."""
    period = _period(request)
    charts = [_tokens(period), _users(period), *_costs(period)]
    if may_view(request, Generation):
        charts += [_statuses(period), _waits(period)]
    if may_view(request, Rating):
        charts.append(_ratings(period))
    context = {
        **admin.site.each_context(request),
        "title": _now("Usage of the last %(count)d days") % {"count": period.length},
        "opts": Usage._meta,
        "periods": [(days, days == period.length) for days in PERIODS],
        "period": period,
        "newest": NEWEST,
        "charts": [chart for chart in charts if chart.rows],
    }
    return TemplateResponse(request, "admin/chat/usage/report.html", context)


@require_POST
def usage_csv(request: HttpRequest) -> StreamingHttpResponse:
    """Return the usage of a period, a line for each day, user and model."""
    period = _period(request)
    text = _now("Exported as CSV: %(count)d days.") % {"count": period.length}
    note(cast("AbstractBaseUser", request.user), Usage, text, name=str(Usage._meta.verbose_name))
    names = ("day", username_of("user"), "model", "currency", "answers", "estimated")
    sums = ("input_tokens", "output_tokens", "cost")
    rows = period.usage.order_by("day", "pk").values_list(*names, *sums)
    head = ("day", "user", *names[2:], *sums)
    lines = _csv([head], ((*row[:-1], f"{row[-1] / NANO:.9f}") for row in _each(rows)))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    name = f"usage-{period.days[0]}-{period.days[-1]}.csv"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _period(request: HttpRequest) -> Period:
    if not may_view(request, Usage):
        raise PermissionDenied
    asked = request.GET.get("days", "")
    return Period(int(asked) if asked in map(str, PERIODS) else 30)


def _each(rows: Any) -> Iterator[tuple[Any, ...]]:
    yield from rows.iterator(chunk_size=CSV_ROWS)


class _Line:
    """What a writer of CSV writes to: it gives back each line."""

    def write(self, line: str) -> str:
        return line


def _csv(*parts: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    for rows in parts:
        for row in rows:
            yield str(writer.writerow([_cell(value) for value in row]))


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


def _tokens(period: Period) -> Chart:
    return _columns(period, period.tokens(), _words("tokens", _now("Tokens by day and model")))


def _users(period: Period) -> Chart:
    words = _words("users", _now("Tokens of those who used most"))
    return _bars(period.users(), words, head=(_now("User"), _now("Tokens")))


def _costs(period: Period) -> list[Chart]:
    return [
        _columns(
            period,
            [series],
            _words(
                f"cost-{series.name}",
                _now("Cost by day in %(currency)s") % {"currency": series.name},
                digits=4,
            ),
        )
        for series in period.costs()
    ]


def _statuses(period: Period) -> Chart:
    words = _words("statuses", _now("Answers by status"))
    return _bars(period.statuses(), words, head=(_now("Status"), _now("Answers")))


def _waits(period: Period) -> Chart:
    words = _words("waits", _now("Seconds until the first token, by day"), digits=2)
    series, labels = period.waits(), _labels(period)
    svg = draw_lines(labels, series, words)
    return _chart(labels, series, words, svg)


def _ratings(period: Period) -> Chart:
    words = _words("ratings", _now("Answers rated as good, by model"))
    found = period.ratings()
    labels = [name for name, _good, _bad in found]
    series = [
        Series(_now("Good"), [good for _name, good, _bad in found]),
        Series(_now("Bad"), [bad for _name, _good, bad in found]),
    ]
    return Chart(
        title=words.title,
        svg=mark_safe(draw_shares(labels, series, words)),  # noqa: S308 - made of elements
        head=(_now("Model"), *(each.name for each in series), _now("Share of good ones")),
        rows=[
            (name, words.number(good), words.number(bad), f"{words.number(share)} %")
            for name, good, bad in found
            for share in [100 * good / (good + bad)]
        ],
        legend=[(colour_of(n), each.name) for n, each in enumerate(series)],
    )


def _columns(period: Period, series: Sequence[Series], words: Words) -> Chart:
    labels = _labels(period)
    return _chart(labels, series, words, draw_columns(labels, series, words))


def _chart(labels: Sequence[str], series: Sequence[Series], words: Words, svg: str) -> Chart:
    rows = [
        (label, *("–" if value is None else words.number(value) for value in values))
        for label, *values in zip(labels, *(each.values for each in series), strict=True)
        if any(values)
    ]
    return Chart(
        title=words.title,
        svg=mark_safe(svg),  # noqa: S308 - made of elements, which escape what they hold
        head=(_now("Day"), *(each.name for each in series)),
        rows=rows,
        legend=[(colour_of(n), each.name) for n, each in enumerate(series)],
    )


def _bars(found: Sequence[tuple[str, int]], words: Words, *, head: Sequence[str]) -> Chart:
    labels, values = [name for name, _ in found], [value for _, value in found]
    svg = draw_bars(labels, values, words)
    return Chart(
        title=words.title,
        svg=mark_safe(svg),  # noqa: S308 - as above
        head=head,
        rows=[(name, words.number(value)) for name, value in found],
    )


def _words(name: str, title: str, *, digits: int = 0) -> Words:
    def number(value: float) -> str:
        return formats.number_format(round(value, digits), digits, use_l10n=True)

    description = _now("The table below the chart has the same figures.")
    return Words(id=f"chart-{name}", title=title, description=description, number=number)


def _labels(period: Period) -> list[str]:
    return [formats.date_format(day, "SHORT_DATE_FORMAT") for day in period.days]
