import asyncio

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.test import TransactionTestCase, override_settings
from django.utils import timezone

from chat.database import in_database
from chat.errors import Overloaded, RateLimited
from chat.identity import Identity, identify
from chat.models import ApiKey
from chat.readers import open_reader, recheck, revoke


class LimitTests(TransactionTestCase):
    def identity(self, name):
        return Identity(user=get_user_model().objects.create_user(name), session_key=name)

    async def test_a_user_past_the_limit_is_told_when_to_try_again(self):
        ann, bob = [await in_database(self.identity, name) for name in ("ann", "bob")]
        with override_settings(CHAT={"MAX_READERS_PER_USER": 1}):
            with open_reader(ann):
                with pytest.raises(RateLimited) as caught, open_reader(ann):
                    pass
                assert caught.value.retry_after
                with open_reader(bob):
                    pass
            with open_reader(ann):
                pass

    async def test_a_full_process_is_overloaded(self):
        ann, bob = [await in_database(self.identity, name) for name in ("ann", "bob")]
        with override_settings(CHAT={"MAX_READERS": 1}):  # noqa: SIM117
            with open_reader(ann), pytest.raises(Overloaded), open_reader(bob):
                pass


class RevocationTests(TransactionTestCase):
    def setUp(self):
        self.user = get_user_model().objects.create_user("ann", password="old")
        self.key, secret = ApiKey.objects.create_key(self.user)
        self.headers = {"authorization": f"Bearer {secret}"}

    def session(self):
        store = SessionStore()
        store["_auth_user_id"] = str(self.user.pk)
        store["_auth_user_backend"] = "django.contrib.auth.backends.ModelBackend"
        store["_auth_user_hash"] = self.user.get_session_auth_hash()
        store.create()
        return {"cookie": f"sessionid={store.session_key}"}

    async def open(self, stack_of_changes, headers):
        """Return whether a reader with these headers is revoked by a change."""
        identity = await identify(headers)
        ended = asyncio.Event()
        with open_reader(identity, on_revoked=ended.set) as reader:
            await in_database(stack_of_changes)
            try:
                await asyncio.wait_for(ended.wait(), 2)
            except TimeoutError:
                return False
            return reader.revoked

    async def test_s06_a_revoked_key_ends_its_readers(self):
        def change():
            self.key.revoked_at = timezone.now()
            self.key.save()

        assert await self.open(change, self.headers)

    async def test_s06_deactivation_ends_readers(self):
        def change():
            self.user.is_active = False
            self.user.save()

        assert await self.open(change, self.headers)
        self.user.is_active = True
        await in_database(self.user.save)
        assert await self.open(change, await in_database(self.session))

    async def test_s06_a_new_password_ends_sessions_but_not_keys(self):
        def change():
            self.user.set_password("new")
            self.user.save()

        assert await self.open(change, await in_database(self.session))
        assert not await self.open(change, self.headers)

    async def test_logout_ends_that_session_only(self):
        one, other = [await identify(await in_database(self.session)) for _ in range(2)]
        with open_reader(one) as mine, open_reader(other) as theirs:
            revoke(self.user.pk, session_key=one.session_key)
            assert mine.revoked
            assert not theirs.revoked

    async def test_s06_a_reader_opened_while_its_key_is_revoked_ends_too(self):
        identity = await identify(self.headers)
        self.key.revoked_at = timezone.now()
        await in_database(self.key.save)
        ended = asyncio.Event()
        with open_reader(identity, on_revoked=ended.set) as reader:
            await asyncio.wait_for(ended.wait(), 2)
            assert reader.revoked

    async def test_nothing_happens_to_readers_that_are_still_valid(self):
        identity = await identify(self.headers)
        with open_reader(identity) as reader:
            recheck(self.user.pk)
            await asyncio.sleep(0.2)
            assert not reader.revoked
