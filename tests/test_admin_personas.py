"""Personas of the site as staff make them, and those of users as staff see them."""

from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group
from django.urls import reverse

from chat.models import Conversation, Persona
from tests.models.test_personas import make
from tests.test_admin import HOSTILE, AdminCase, User, url


class PersonaAdminTests(AdminCase):
    def fields(self, **changes):
        versions = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
        told = {"name": "Poet", "description": "", "order": 0, "system_prompt": "Rhyme."}
        return {**versions, **told, "starters": "One\nTwo", "temperature": "1.5", **changes}

    def save(self, *args, **changes):
        page = "change" if args else "add"
        return self.client.post(url(Persona, page, *args), self.fields(**changes), follow=True)

    def test_one_for_a_group_is_made_and_changed_by_new_versions(self):
        group = Group.objects.create(name="poets")
        self.save(groups=[group.pk])
        persona = Persona.objects.get()
        assert (persona.owner, persona.newest.number) == (None, 1)
        assert persona.newest.starters == ["One", "Two"]
        assert persona.newest.parameters == {"temperature": 1.5}
        assert persona.newest.created_by == self.admin
        assert not Persona.objects.offered_to(self.owner).exists()
        self.owner.groups.add(group)
        assert Persona.objects.offered_to(self.owner).get() == persona
        self.save(persona.pk, groups=[group.pk], name="Bard")
        persona.refresh_from_db()
        assert (persona.name, persona.newest.number) == ("Bard", 1)
        self.save(persona.pk, groups=[group.pk], system_prompt="Sing.", hidden="on")
        persona.refresh_from_db()
        assert (persona.newest.system_prompt, persona.newest.number) == ("Sing.", 2)
        assert persona.hidden
        assert LogEntry.objects.filter(object_id=str(persona.pk)).count() == 3
        page = self.client.get(url(Persona, "change", persona.pk))
        self.assertContains(page, "Rhyme.")  # In the first version.
        self.assertContains(page, 'value="1.5"')
        self.assertNotContains(page, "versions-0-DELETE")

    def test_what_is_wrong_is_said(self):
        self.assertContains(self.save(model="nobody"), "No model has this name.")
        self.assertContains(self.save(temperature="3"), "less than or equal to 2")
        assert not Persona.objects.exists()

    def test_those_of_users_are_listed_without_their_prompts_and_looking_is_noted(self):
        persona = make(self.owner, HOSTILE, system_prompt=f"Secret {HOSTILE}", model="openai:verse")
        answer = self.client.get(url(Persona))
        self.assertContains(answer, "&lt;script&gt;")
        self.assertContains(answer, "openai:verse")
        self.assertNotContains(answer, "Secret")
        self.assertNotContains(answer, "<script>alert")
        answer = self.client.get(url(Persona, "change", persona.pk))
        self.assertContains(answer, "Secret &lt;script&gt;")
        self.assertNotContains(answer, "<script>alert")
        self.assertNotContains(answer, "_save")
        self.assertEqual(LogEntry.objects.get().change_message, "Persona viewed.")
        assert self.save(persona.pk).status_code == 403

    def test_it_takes_the_permission(self):
        persona = make(None, system_prompt="Rhyme.")
        self.login_staff("view_conversation")
        assert self.client.get(url(Persona)).status_code == 403
        User.objects.get(username="staff").delete()
        self.login_staff("view_persona")
        answer = self.client.get(url(Persona, "change", persona.pk))
        self.assertContains(answer, "Rhyme.")
        self.assertNotContains(answer, "_save")
        assert self.save(persona.pk).status_code == 403

    def test_what_is_in_use_is_not_deleted(self):
        persona = make(None)
        Conversation.objects.create(owner=self.owner, persona_version=persona.newest)
        page = url(Persona, "delete", persona.pk)
        self.assertContains(self.client.get(page), "Cannot delete")
        self.client.post(page, {"post": "yes"})
        assert Persona.objects.exists()
        user = reverse("admin:auth_user_delete", args=[self.owner.pk])
        make(self.owner)
        self.client.post(user, {"post": "yes"})
        assert not User.objects.filter(pk=self.owner.pk).exists()
        self.client.post(page, {"post": "yes"})
        assert not Persona.objects.exists()

    def test_the_list_takes_as_many_queries_with_many_as_with_one(self):
        make(self.owner)
        self.client.get(url(Persona))
        with self.assertNumQueries(QUERIES):
            self.client.get(url(Persona))
        for _ in range(5):
            make(self.owner)
            make(None, groups=[Group.objects.get_or_create(name="poets")[0]])
        with self.assertNumQueries(QUERIES):
            self.client.get(url(Persona))


QUERIES = 6
