"""Who is offered which persona, and what becomes of it when others go."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import RestrictedError
from django.test import TestCase

from chat.errors import BadRequest, NotFound, UnknownModel
from chat.generations import personas
from chat.models import Conversation, Persona


def make(owner=None, name="Poet", groups=(), **fields):
    """Return a persona with its first version."""
    persona = Persona(owner=owner)
    personas.save_persona(persona, {"name": name, **fields}, by=owner)
    persona.groups.set(groups)
    return persona


class PersonaTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        users = get_user_model().objects
        cls.ada, cls.bob = users.create_user("ada"), users.create_user("bob")
        cls.poets, cls.cooks = (Group.objects.create(name=name) for name in ("poets", "cooks"))
        cls.ada.groups.set([cls.poets, cls.cooks])

    def offered(self, user):
        return [each.name for each in Persona.objects.offered_to(user)]

    def test_ones_own_and_those_of_the_site_for_ones_groups_are_offered_once(self):
        make(self.ada, "Mine")
        make(self.bob, "His")
        make(None, "Everybody's")
        make(None, "Poets'", [self.poets, self.cooks])
        make(None, "Cooks'", [self.cooks])
        assert self.offered(self.ada) == ["Cooks'", "Everybody's", "Mine", "Poets'"]
        assert self.offered(self.bob) == ["Everybody's", "His"]
        self.bob.groups.add(self.cooks)
        assert self.offered(self.bob) == ["Cooks'", "Everybody's", "His", "Poets'"]

    def test_what_is_hidden_is_not_offered_and_read_by_its_owner_alone(self):
        persona = make(self.ada)
        personas.change_persona(self.ada, persona.pk, {"hidden": True})
        assert self.offered(self.ada) == []
        assert personas.find_persona(self.ada, persona.pk).hidden
        with pytest.raises(NotFound):
            personas.newest_of(self.ada, persona.pk)
        personas.change_persona(self.ada, persona.pk, {"hidden": False})
        assert personas.newest_of(self.ada, persona.pk).number == 1

    def test_the_order_comes_before_the_name(self):
        make(None, "A", order=2)
        make(None, "B", order=1)
        assert self.offered(self.bob) == ["B", "A"]

    def test_another_content_is_another_version_and_another_name_is_not(self):
        persona = make(self.ada, system_prompt="Rhyme.", parameters={"top_p": 1})
        changed = personas.change_persona(self.ada, persona.pk, {"name": "Bard"})
        assert (changed.name, changed.newest.number) == ("Bard", 1)
        changed = personas.change_persona(self.ada, persona.pk, {"system_prompt": "Sing."})
        assert (changed.newest.number, changed.newest.parameters) == (2, {"top_p": 1})
        assert changed.newest.created_by == self.ada
        same = personas.change_persona(self.ada, persona.pk, {"system_prompt": "Sing."})
        assert same.newest.number == 2
        old = personas.restore_version(self.ada, persona.pk, 1)
        assert (old.newest.number, old.newest.system_prompt) == (3, "Rhyme.")
        assert [each.system_prompt for each in persona.versions.order_by("number")] == [
            "Rhyme.", "Sing.", "Rhyme.",
        ]  # fmt: skip

    def test_a_version_never_changes(self):
        version = make(self.ada).newest
        version.system_prompt = "Other."
        with pytest.raises(TypeError):
            version.save()

    def test_a_strangers_persona_and_the_sites_are_not_changed(self):
        for persona in (make(self.bob), make(None)):
            for change in (
                lambda pk: personas.change_persona(self.ada, pk, {"name": "Taken"}),
                lambda pk: personas.restore_version(self.ada, pk, 1),
            ):
                with pytest.raises(NotFound):
                    change(persona.pk)
        with pytest.raises(NotFound):
            personas.duplicate_persona(self.ada, make(self.bob).pk)

    def test_a_copy_of_the_sites_is_ones_own(self):
        copy = personas.duplicate_persona(self.ada, make(None, "x" * 100, starters=["Hi"]).pk)
        assert (copy.owner, len(copy.name), copy.newest.number) == (self.ada, 100, 1)
        assert copy.newest.starters == ["Hi"]

    def test_there_is_an_end_to_them_and_models_are_known(self):
        with pytest.raises(UnknownModel):
            personas.create_persona(self.ada, {"name": "P", "model": "nobody"})
        Persona.objects.bulk_create(Persona(owner=self.ada, name="P") for _ in range(100))
        with pytest.raises(BadRequest, match="at most 100"):
            personas.create_persona(self.ada, {"name": "P"})

    def test_what_is_used_is_not_deleted_but_goes_with_its_owner(self):
        persona = make(self.ada)
        Conversation.objects.create(owner=self.ada, persona_version=persona.newest)
        with pytest.raises(RestrictedError):
            persona.delete()
        self.ada.delete()
        assert not Persona.objects.exists()
        assert not Conversation.objects.exists()

    def test_without_its_group_a_persona_is_hidden_and_not_everybodys(self):
        alone, shared = make(None, "A", [self.poets]), make(None, "B", [self.poets, self.cooks])
        everybodys = make(None, "C")
        self.poets.delete()
        assert self.offered(self.bob) == [everybodys.name]
        alone.refresh_from_db()
        assert alone.hidden
        assert self.offered(self.ada) == [shared.name, everybodys.name]
