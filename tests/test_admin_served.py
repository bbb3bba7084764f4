"""Models in the admin: what goes in, and that no key comes out."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.core.checks import run_checks
from django.test import override_settings

from chat import access
from chat.llm import served
from chat.llm.keys import unseal
from chat.models import Price, ServedModel
from tests.test_admin import AdminCase, url
from tests.upstream import FakeUpstream

KEY = "sk-canary-admin-0123"
ADDRESS = "http://vllm:8000/v1"


class ServedAdminTests(AdminCase):
    def tearDown(self):
        access.reset()

    def send(self, row=None, **fields):
        data = {"name": "fast", "provider": "openai", "place": "0", "is_on": "on"} | fields
        if row is not None:
            return self.client.post(url(ServedModel, "change", row.pk), data)
        return self.client.post(url(ServedModel, "add"), data)

    def add(self, **fields):
        answer = self.send(**fields)
        assert answer.status_code == 302, answer.context["errors"]
        return ServedModel.objects.get(name=fields.get("name", "fast"))

    def errors(self, answer):
        self.assertEqual(answer.status_code, 200)
        return answer.context["adminform"].form.errors

    def test_a_key_goes_in_and_never_comes_out(self):
        row = self.add(base_url=ADDRESS, new_key=KEY)
        assert unseal(row.sealed_key) == KEY
        pages = [url(ServedModel), *(url(ServedModel, p, row.pk) for p in ("change", "history"))]
        for page in (*pages, url(ServedModel, "delete", row.pk)):
            html = self.client.get(page).content.decode()
            assert KEY not in html
            assert "canary" not in html
            assert row.sealed_key not in html
        assert "One is set." in self.client.get(pages[1]).content.decode()
        assert not [e for e in LogEntry.objects.all() if KEY in e.change_message + e.object_repr]
        assert KEY not in repr(row) + str(row) + repr(row.as_served())

    def test_a_refused_form_does_not_show_what_was_typed(self):
        answer = self.send(name="no spaces", new_key=KEY, base_url=ADDRESS)
        assert "name" in self.errors(answer)
        self.assertNotContains(answer, KEY)

    def test_a_key_is_kept_replaced_and_removed(self):
        row = self.add(base_url=ADDRESS, new_key=KEY)
        self.send(row, base_url=ADDRESS, label="Fast")
        row.refresh_from_db()
        assert (row.label, unseal(row.sealed_key)) == ("Fast", KEY)
        self.send(row, base_url=ADDRESS, new_key="sk-other")
        row.refresh_from_db()
        assert unseal(row.sealed_key) == "sk-other"
        self.send(row, base_url=ADDRESS, remove_key="on")
        row.refresh_from_db()
        assert row.sealed_key == ""

    def test_a_key_does_not_move_to_another_address(self):
        row = self.add(base_url=ADDRESS, new_key=KEY)
        assert "new_key" in self.errors(self.send(row, base_url="http://elsewhere/v1"))
        assert "new_key" in self.errors(self.send(row, base_url=""))
        row.refresh_from_db()
        assert row.base_url == ADDRESS

    def test_what_is_wrong_is_refused(self):
        for fields in (
            {"name": "x:y"},
            {"base_url": "ftp://host/v1"},
            {"base_url": "http://me:secret@host/v1"},
            {"base_url": "http:///v1"},
            {"name": "openai:gpt", "base_url": ADDRESS},
            {"name": "openai:gpt", "new_key": KEY},
            {"name": "demo", "model": "other"},
            {"temperature": "3"},
            {"top_p": "nan"},
            {"max_tokens": "0"},
            {"base_url": ADDRESS, "new_key": "with space"},
        ):
            with self.subTest(fields):
                assert self.errors(self.send(**fields))
        assert not ServedModel.objects.exists()

    def test_a_found_model_can_be_described(self):
        row = self.add(name="openai:gpt-4.1-mini", label="Small", temperature="0.5")
        assert row.as_served().describes
        assert row.as_served().options == (("temperature", 0.5),)

    def test_the_list_says_whether_there_is_a_price(self):
        self.add()
        self.assertContains(self.client.get(url(ServedModel)), "Not set")
        Price.objects.create(model="")
        self.assertContains(self.client.get(url(ServedModel)), "That of any other model")

    def test_a_model_is_off_when_its_only_group_is_deleted(self):
        one, two = Group.objects.create(name="one"), Group.objects.create(name="two")
        row = self.add()
        row.groups.set([one, two])
        one.delete()
        row.refresh_from_db()
        assert row.is_on
        Group.objects.all().delete()
        row.refresh_from_db()
        assert not row.is_on

    def test_a_key_that_cannot_be_read_is_shown_and_checked(self):
        row = self.add(base_url=ADDRESS, new_key=KEY)
        assert not [e for e in run_checks(databases=["default"]) if e.id == "chat.W007"]
        with override_settings(SECRET_KEY="quite another secret than that in force"):
            self.sign_in()
            self.assertContains(self.client.get(url(ServedModel)), "cannot be read")
            [found] = [e for e in run_checks(databases=["default"]) if e.id == "chat.W007"]
        assert "fast" in found.msg
        assert row.sealed_key not in str(found)

    def test_the_key_is_encrypted_anew(self):
        row = self.add(base_url=ADDRESS, new_key=KEY)
        self.act(ServedModel, "reseal_selected", row)
        again = ServedModel.objects.get()
        assert again.sealed_key != row.sealed_key
        assert unseal(again.sealed_key) == KEY

    def test_a_test_asks_the_model_even_if_it_is_off(self):
        with FakeUpstream() as upstream:
            fields = {"base_url": upstream.base_url, "new_key": KEY, "model": "text:ready"}
            row = self.add(**fields)
            ServedModel.objects.update(is_on=False)
            answer = self.act(ServedModel, "test_selected", row)
            self.assertContains(answer, "“fast” answered after")
            [entry] = upstream.journal
            assert entry["headers"]["authorization"] == f"Bearer {KEY}"
            page = url(ServedModel, "test", row.pk)
            upstream.script([{"status": 401, "body": {"error": {"message": KEY}}}])
            answer = self.client.post(page, follow=True)
            self.assertContains(answer, "“fast” does not answer: The model provider refused")
            self.assertNotContains(answer, KEY)
        said = list(LogEntry.objects.order_by("pk").values_list("change_message", flat=True))
        assert said[-1] == "Tested: upstream_auth."
        self.assertRegex(said[-2], r"^Tested: \d+\.\d\d s\.$")

    def test_a_test_takes_the_permission_and_a_post(self):
        row = self.add()
        page = url(ServedModel, "test", row.pk)
        assert self.client.get(page).status_code == 403
        self.login_staff("view_servedmodel")
        assert self.client.post(page).status_code == 403

    def test_the_catalogue_takes_two_queries_however_many_there_are(self):
        group = Group.objects.create(name="one")
        for number in range(5):
            row = ServedModel.objects.create(name=f"m{number}", is_on=number != 0)
            row.groups.add(group)
        with self.assertNumQueries(2):
            found = ServedModel.objects.catalogue()
        assert (len(found.rows), found.off) == (4, {"m0"})
        assert served.catalogue() == served.NONE
