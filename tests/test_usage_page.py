import csv
from datetime import timedelta
from io import StringIO
from urllib.parse import urlencode

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from chat.admin.figures import percentile
from chat.models import Usage
from chat.models.usage import NANO, today
from tests.test_admin import HOSTILE, AdminCase, Status, User, make_turn

PAGE, CSV = reverse("admin:chat_usage_report"), reverse("admin:chat_usage_csv")


def use(user, *, model="demo", days_ago=0, tokens=100, **fields):
    day = today() - timedelta(days=days_ago)
    return Usage.objects.create(
        day=day, user=user, model=model, answers=1, output_tokens=tokens, **fields
    )


class UsagePageTests(AdminCase):
    def charts(self, **query):
        charts = self.client.get(PAGE, query).context["charts"]
        return {chart.title: chart for chart in charts}

    def lines(self, **query):
        answer = self.client.post(f"{CSV}?{urlencode(query)}")
        text = "".join(part.decode() for part in answer.streaming_content)
        return list(csv.DictReader(StringIO(text)))

    def test_tokens_are_stacked_by_the_most_used_models_and_the_rest(self):
        for place in range(7):
            use(self.owner, model=f"m{place}", tokens=100 * (place + 1))
        chart = self.charts()["Tokens by day and model"]
        self.assertEqual(chart.head, ("Day", "m6", "m5", "m4", "m3", "m2", "Other models"))
        [row] = chart.rows
        self.assertEqual(row[1:], ("700", "600", "500", "400", "300", "300"))
        self.assertIn("m6: 700", chart.svg)

    def test_users_are_ordered_and_deleted_accounts_keep_their_sums(self):
        use(self.owner, tokens=5)
        use(self.admin, tokens=7)
        use(None, tokens=6)
        chart = self.charts()["Tokens of those who used most"]
        self.assertEqual(chart.rows, [("root", "7"), ("Deleted accounts", "6"), ("ada", "5")])

    def test_each_currency_has_a_chart(self):
        use(self.owner, currency="EUR", cost=2 * NANO)
        use(self.owner, currency="USD", cost=NANO // 2)
        charts = self.charts()
        self.assertEqual(charts["Cost by day in EUR"].rows[0][1], "2.0000")
        self.assertEqual(charts["Cost by day in USD"].rows[0][1], "0.5000")

    def test_answers_are_counted_by_status_and_first_tokens_by_day(self):
        now = timezone.now()
        for wait in (1, 2, 9):
            first = now + timedelta(seconds=wait)
            make_turn(self.conversation, started_at=now, first_delta_at=first)
        make_turn(self.conversation, status=Status.FAILED)
        charts = self.charts(days=7)
        self.assertEqual(charts["Answers by status"].rows, [("Done", "3"), ("Failed", "1")])
        [row] = charts["Seconds until the first token, by day"].rows
        self.assertEqual(row[1:], ("2.00", "9.00"))

    def test_a_period_leaves_out_what_was_before(self):
        use(self.owner, tokens=1)
        use(self.owner, tokens=2, days_ago=7)
        use(self.owner, tokens=4, days_ago=89)
        use(self.owner, tokens=8, days_ago=90)
        for days, tokens in ((7, 1), (30, 3), (90, 7), ("31", 3), ("x", 3)):
            self.assertEqual(
                self.charts(days=days)["Tokens of those who used most"].rows[0][1], str(tokens)
            )
            self.assertEqual(
                sum(int(line["output_tokens"]) for line in self.lines(days=days)), tokens
            )

    def test_csv_has_all_rows_and_no_formulas(self):
        use(self.owner, model="=1+1", currency="EUR", cost=NANO + 1)
        use(None)
        one, other = self.lines()
        self.assertEqual((one["user"], one["model"], one["cost"]), ("ada", "'=1+1", "1.000000001"))
        self.assertEqual((other["user"], other["model"]), ("", "demo"))

    def test_the_number_of_queries_does_not_grow(self):
        def count():
            with CaptureQueriesContext(connection) as queries:
                self.client.get(PAGE)
            return len(queries)

        use(self.owner)
        few = count()
        for place in range(30):
            use(User.objects.create_user(f"u{place}"), model=f"m{place}", days_ago=place)
            make_turn(self.conversation)
        self.assertEqual(count(), few)

    def test_hostile_names_are_escaped_and_nothing_is_inline(self):
        use(User.objects.create_user(HOSTILE), model=HOSTILE)
        answer = self.client.get(PAGE)
        self.assertContains(answer, "&lt;script&gt;")
        for forbidden in ("<script>alert", "<img src=x", " style=", "<style", " onclick="):
            self.assertNotContains(answer, forbidden)

    def test_empty_it_says_so_and_the_list_leads_to_it(self):
        self.assertContains(self.client.get(PAGE), "Nothing was used")
        self.assertContains(self.client.get(reverse("admin:chat_usage_changelist")), PAGE)

    def test_it_takes_the_permission_to_view_usage(self):
        self.login_staff("view_generation")
        self.assertEqual(self.client.get(PAGE).status_code, 403)
        self.assertEqual(self.client.post(CSV).status_code, 403)
        self.client.force_login(self.owner)
        self.assertEqual(self.client.get(PAGE).status_code, 302)

    def test_how_answers_went_takes_the_permission_to_view_generations(self):
        use(self.owner)
        make_turn(self.conversation)
        self.login_staff("view_usage")
        self.assertNotIn("Answers by status", self.charts())

    def test_a_percentile_is_one_of_the_values(self):
        values = list(range(1, 101))
        self.assertEqual([percentile(values, 50), percentile(values, 95)], [50, 95])
        self.assertEqual(percentile([7], 95), 7)
