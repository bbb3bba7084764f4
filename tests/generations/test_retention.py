"""Rules of retention: whom they meet, what they take, and what they leave alone."""

import asyncio
from datetime import timedelta
from unittest import mock

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import TransactionTestCase
from django.utils import timezone

from chat.database import in_database, in_transaction
from chat.errors import Overloaded
from chat.generations import retention
from chat.generations.retention import preview, run_due, run_rule
from chat.models import (
    Annotation,
    Attachment,
    Conversation,
    Generation,
    Message,
    RetentionRule,
    Share,
    Step,
    StoredEvent,
    Timing,
)

OLD = timedelta(days=40)


def make_old(owner, title="Looms", *, age=OLD, status=Generation.Status.DONE, **fields):
    """Return a conversation with a turn that has a file, a step, a note, and a share link."""
    used = timezone.now() - age
    made = Conversation.objects.create(
        owner=owner, title=title, created_at=used, updated_at=used, **fields
    )
    prompt = Message.objects.create(conversation=made, role="user", text="sunflower", attached=1)
    answer = Message.objects.create(
        conversation=made, role="assistant", parent=prompt, text="quixotic"
    )
    generation = Generation.objects.create(
        owner=owner, conversation=made, message=answer, status=status, model="demo", agent="router"
    )
    Attachment.objects.create(
        owner=owner,
        message=prompt,
        name="notes.txt",
        kind="text",
        media_type="text/plain",
        size=5,
        content=b"hello",
        sha256="0" * 64,
    )
    step = Step.objects.create(generation=generation, sequence=0, name="answer")
    Annotation.objects.create(step=step, tags=["good"])
    Timing.objects.create(generation=generation, marks=[[1, 2]])
    StoredEvent.objects.create(generation=generation, cursor=1, kind="delta", data="{}")
    Share.objects.create(conversation=made, leaf=answer, title=title)
    return made


class RetentionTests(TransactionTestCase):
    def setUp(self):
        self.ada = get_user_model().objects.create_user("ada")

    def rule(self, **fields):
        return RetentionRule.objects.create(**{"name": "Old", "days": 30, "is_on": True} | fields)

    def run_now(self, rule, **options):
        return async_to_sync(run_rule)(rule, **options)

    def titles(self, rule):
        return set(rule.conversations().values_list("title", flat=True))

    def test_it_meets_what_was_not_used_for_its_days(self):
        make_old(self.ada, "old")
        make_old(self.ada, "young", age=timedelta(days=29))
        make_old(self.ada, "pinned", pinned_at=timezone.now())
        make_old(self.ada, "archived", archived_at=timezone.now())
        make_old(self.ada, "temporary", temporary=True)
        make_old(self.ada, "deleted", deleted_at=timezone.now())
        make_old(self.ada, "queued", status=Generation.Status.QUEUED)
        make_old(self.ada, "running", status=Generation.Status.RUNNING)
        rule = self.rule()
        self.assertEqual(self.titles(rule), {"old", "archived"})
        rule.archived_only = True
        self.assertEqual(self.titles(rule), {"archived"})
        rule.archived_only = rule.spares_pinned = False
        self.assertEqual(self.titles(rule), {"old", "archived", "pinned"})

    def test_it_meets_those_of_its_groups_and_not_of_staff(self):
        people = get_user_model().objects
        make_old(self.ada, "ada's")
        member = people.create_user("bob")
        make_old(member, "bob's")
        boss = people.create_user("root", is_staff=True)
        make_old(boss, "root's")
        one, other = Group.objects.create(name="one"), Group.objects.create(name="other")
        member.groups.set([one, other])
        boss.groups.add(one)
        rule = self.rule()
        self.assertEqual(self.titles(rule), {"ada's", "bob's"})
        rule.spares_staff = False
        self.assertEqual(self.titles(rule), {"ada's", "bob's", "root's"})
        rule.scope = rule.Scope.GROUPS
        rule.groups.set([one, other])
        self.assertEqual(
            sorted(rule.conversations().values_list("title", flat=True)), ["bob's", "root's"]
        )
        Group.objects.all().delete()
        # Without its groups it does not turn on everybody.
        self.assertEqual(self.titles(rule), set())

    def test_a_conversation_goes_with_all_that_hangs_on_it(self):
        old, new = make_old(self.ada), make_old(self.ada, "new", age=timedelta())
        rule = self.rule()
        seen = preview(rule)
        with mock.patch.object(retention, "notify_conversation") as told:
            run = self.run_now(rule)
        told.assert_called_once_with(self.ada.pk, old.pk, "deleted")
        self.assertTrue(run.is_finished)
        expected = {"conversations": 1, "messages": 2, "files": 1, "bytes": 5, "steps": 1}
        self.assertEqual(run.taken, expected)
        self.assertEqual(seen.amounts, expected)
        self.assertEqual(Conversation.objects.get(), new)
        for model in (Generation, Attachment, Step, Annotation, Timing, StoredEvent, Share):
            self.assertEqual(model.objects.count(), 1, model)
        self.assertEqual(Conversation.objects.search("quixotic").count(), 1)
        rule.refresh_from_db()
        self.assertEqual(rule.last_taken, expected)
        self.assertIsNotNone(rule.last_run_at)
        self.assertIsNone(rule.held_until)
        self.assertEqual(self.run_now(rule).taken["conversations"], 0)

    def test_files_alone_go(self):
        old = make_old(self.ada)
        self.assertEqual(self.run_now(self.rule(takes="files")).taken["bytes"], 5)
        prompt = old.messages.get(role="user")
        self.assertEqual((prompt.attached, prompt.files), (0, []))
        self.assertEqual((Message.objects.count(), Step.objects.count()), (2, 1))
        self.assertEqual(Attachment.objects.count(), 0)
        self.assertFalse(preview(RetentionRule.objects.get()))

    def test_traces_alone_go(self):
        make_old(self.ada)
        self.assertEqual(self.run_now(self.rule(takes="traces")).taken["steps"], 1)
        for model in (Step, Annotation, Timing):
            self.assertEqual(model.objects.count(), 0)
        self.assertEqual((Message.objects.count(), Attachment.objects.count()), (2, 1))
        self.assertFalse(preview(RetentionRule.objects.get()))

    def test_what_is_used_between_the_look_and_the_lock_stays(self):
        old = make_old(self.ada)
        rule = self.rule()
        Conversation.objects.update(updated_at=timezone.now())
        with mock.patch.object(retention, "_next", side_effect=[[old.pk], []]):
            self.assertEqual(self.run_now(rule).taken["conversations"], 0)
        self.assertTrue(Conversation.objects.exists())

    def test_a_preview_says_whose_and_how_old(self):
        bob = get_user_model().objects.create_user("bob")
        for number in range(3):
            make_old(self.ada, f"n{number}", age=OLD + timedelta(days=number))
        make_old(bob, "bob's")
        found = preview(self.rule())
        self.assertEqual(found.owners, [("ada", 3), ("bob", 1)])
        self.assertEqual(found.owners_in_all, 2)
        self.assertLess(found.oldest, found.newest)
        self.assertEqual([each.title for each in found.sample][:2], ["n2", "n1"])

    def test_it_goes_on_where_its_time_was_over(self):
        for number in range(4):
            make_old(self.ada, str(number))
        rule = self.rule()
        run = self.run_now(rule, seconds=0)
        self.assertEqual((run.is_finished, run.taken["conversations"]), (False, 0))
        self.assertIn(rule, RetentionRule.objects.due())
        with mock.patch.object(retention, "ROWS", 2):
            run = self.run_now(rule)
        self.assertEqual((run.is_finished, run.taken["conversations"]), (True, 4))
        self.assertNotIn(rule, RetentionRule.objects.due())

    def test_a_failure_keeps_what_is_done_and_frees_the_rule(self):
        for number in range(3):
            make_old(self.ada, str(number))
        rule = self.rule()
        with (
            mock.patch.object(retention, "reach", side_effect=[None, OSError("out of order")]),
            self.assertRaises(OSError),
        ):
            self.run_now(rule)
        rule.refresh_from_db()
        self.assertEqual(rule.last_taken["conversations"], 2)
        self.assertEqual(self.run_now(rule).taken["conversations"], 1)

    def test_it_stops_when_somebody_changes_it(self):
        for number in range(4):
            make_old(self.ada, str(number))
        rule = self.rule()

        with mock.patch.object(retention, "ROWS", 2), mock.patch.object(retention, "_take") as take:
            take.side_effect = self.change_and_take
            run = self.run_now(rule)
        self.assertFalse(run.is_finished)
        self.assertEqual(take.call_count, 2)

    async def change_and_take(self, rule, pk):
        await in_transaction(RetentionRule.objects.update, days=60)
        return {"conversations": 1}

    async def test_one_process_at_a_time_runs_it(self):
        rule = await in_transaction(self.rule)
        await in_transaction(make_old, self.ada)
        assert await in_transaction(RetentionRule.objects.hold, rule.pk)
        with pytest.raises(Overloaded):
            await run_rule(rule)
        assert not await in_database(RetentionRule.objects.due().exists)
        # Its process has died: the hold is over some time later.
        long_ago = timezone.now() - timedelta(seconds=1)
        await in_transaction(RetentionRule.objects.update, held_until=long_ago)
        assert (await run_rule(rule)).taken["conversations"] == 1

    async def test_what_is_on_runs_by_itself_once_a_day(self):
        await in_transaction(make_old, self.ada)
        await in_transaction(self.rule, name="off", is_on=False)
        await run_due()
        assert await in_database(Conversation.objects.exists)
        rule = await in_transaction(self.rule)
        await asyncio.gather(run_due(), run_due())
        assert not await in_database(Conversation.objects.exists)
        await in_transaction(make_old, self.ada)
        await run_due()
        assert await in_database(Conversation.objects.exists)
        yesterday = timezone.now() - timedelta(days=1)
        await in_transaction(RetentionRule.objects.filter(pk=rule.pk).update, last_run_at=yesterday)
        await run_due()
        assert not await in_database(Conversation.objects.exists)
