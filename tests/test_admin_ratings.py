from datetime import timedelta

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.models import Conversation, Rating
from tests.test_admin import HOSTILE, AdminCase, make_turn, url

REPORT = reverse("admin:chat_usage_report")


class RatingCase(AdminCase):
    def rate(self, value=1, *, model="demo", days_ago=0, **fields):
        answer = make_turn(self.conversation, model=model).message
        when = timezone.now() - timedelta(days=days_ago)
        return Rating.objects.create(
            message=answer, owner=self.owner, value=value, updated_at=when, **fields
        )

    def listed(self, **query):
        return list(self.client.get(url(Rating), query).context["cl"].queryset)


class ListTests(RatingCase):
    def test_a_row_tells_all_and_leads_to_its_place_in_the_transcript(self):
        rating = self.rate(-1, model="tea", reasons=["too_long", "later"], comment=HOSTILE)
        for _ in range(120):
            make_turn(self.conversation)
        page = self.client.get(url(Rating))
        for text in ("Bad", "tea", "ada", "Too long, later", "Engines"):
            self.assertContains(page, text)
        self.assertNotContains(page, "<script>alert")
        self.assertContains(page, "&lt;script&gt;alert")
        place = f"#m-{rating.message_id}"
        [link] = [part for part in page.content.decode().split('"') if part.endswith(place)]
        shown = self.client.get(link.removesuffix(place))
        self.assertContains(shown, f'id="{place[1:]}"')

    def test_it_is_filtered_and_searched(self):
        good = self.rate(1, model="tea", comment="lovely cup")
        bad = self.rate(-1, model="coffee", days_ago=40)
        self.assertEqual(self.listed(), [good, bad])
        self.assertEqual(self.listed(value__exact="-1"), [bad])
        self.assertEqual(self.listed(model="coffee"), [bad])
        since = (timezone.now() - timedelta(days=1)).isoformat()
        self.assertEqual(self.listed(updated_at__gte=since), [good])
        for term, found in (("lovely", [good]), ("coffee", [bad]), ("Engin", [good, bad])):
            self.assertEqual(self.listed(q=term), found, term)

    def test_it_has_no_query_per_row(self):
        def queries():
            with CaptureQueriesContext(
                connection,
            ) as found:
                self.client.get(url(Rating))
            return len(found)

        self.rate()
        few = queries()
        for _ in range(30):
            self.rate()
        self.assertEqual(queries(), few)

    def test_nobody_adds_or_changes_one(self):
        rating = self.rate()
        self.assertEqual(self.client.get(url(Rating, "add")).status_code, 403)
        page = url(Rating, "change", rating.pk)
        self.assertContains(self.client.get(page), "demo")
        self.assertEqual(self.client.post(page, {"value": -1}).status_code, 403)
        self.login_staff("view_message")
        self.assertEqual(self.client.get(url(Rating)).status_code, 403)


class TranscriptTests(RatingCase):
    def test_ratings_stand_below_their_answers(self):
        self.rate(1, reasons=["clear"])
        self.rate(-1, comment="No <b>tea</b>.")
        page = self.client.get(url(Conversation, "change", self.conversation.pk))
        self.assertContains(page, "Rated as good", 1)
        self.assertContains(page, "Easy to follow")
        self.assertContains(page, "Rated as bad", 1)
        self.assertContains(page, "No &lt;b&gt;tea&lt;/b&gt;.")


class ReportTests(RatingCase):
    def chart(self, **query):
        charts = self.client.get(REPORT, query).context["charts"]
        return {chart.title: chart for chart in charts}.get("Answers rated as good, by model")

    def test_models_are_compared_by_their_share_of_good_ones(self):
        for value, model, days_ago in (
            *((1, "tea", 0), (1, "tea", 0), (-1, "tea", 0)),
            *((-1, "coffee", 0), (-1, "coffee", 20)),
        ):
            self.rate(value, model=model, days_ago=days_ago)
        imported = self.conversation.messages.create(role="assistant", text="a")
        Rating.objects.create(message=imported, owner=self.owner, value=1)
        chart = self.chart(days=7)
        self.assertEqual(chart.head, ("Model", "Good", "Bad", "Share of good ones"))
        self.assertEqual(
            sorted(chart.rows),
            [
                ("Unknown model", "1", "0", "100 %"),
                ("coffee", "0", "1", "0 %"),
                ("tea", "2", "1", "67 %"),
            ],
        )
        self.assertEqual(chart.rows[0][0], "tea")
        self.assertIn("tea, Good: 2", chart.svg)
        self.assertIn(("coffee", "0", "2", "0 %"), self.chart(days=30).rows)

    def test_without_ratings_there_is_no_chart_and_without_permission_none_is_shown(self):
        self.assertIsNone(self.chart())
        self.rate()
        self.assertIsNotNone(self.chart())
        self.login_staff("view_usage")
        self.assertIsNone(self.chart())
