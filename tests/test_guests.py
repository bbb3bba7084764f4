from django.contrib.auth import get_user_model
from django.test import TestCase, override_settings

from chat.guests import address_of, guest_at, guest_name, people

User = get_user_model()


class GuestTests(TestCase):
    def test_an_address_has_one_guest_and_another_address_another(self):
        ada, again, bob = guest_at("192.0.2.1"), guest_at("192.0.2.1"), guest_at("192.0.2.2")
        assert ada == again != bob

    def test_nobody_can_sign_in_as_a_guest(self):
        assert not guest_at("192.0.2.1").has_usable_password()

    def test_the_name_of_a_guest_does_not_give_its_address_away(self):
        assert "192" not in guest_name("192.0.2.1")

    def test_one_subscriber_of_ipv6_is_one_guest(self):
        assert guest_name("2001:db8:1:2::5") == guest_name("2001:db8:1:2:ffff::6")
        assert guest_name("2001:db8:1:2::5") != guest_name("2001:db8:1:3::5")

    def test_what_is_no_address_has_a_guest_too(self):
        assert guest_at("unix") == guest_at("unix")

    def test_guests_do_not_count_as_people(self):
        guest_at("192.0.2.1")
        assert not people().exists()
        User.objects.create_user(username="ada")
        assert [user.get_username() for user in people()] == ["ada"]


class AddressTests(TestCase):
    scope = {
        "client": ("127.0.0.1", 5000),
        "headers": [(b"x-forwarded-for", b"203.0.113.9, 198.51.100.7")],
    }

    def test_nobody_but_a_proxy_is_believed(self):
        assert address_of(self.scope) == "127.0.0.1"

    @override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
    def test_of_a_proxy_the_last_address_counts(self):
        assert address_of(self.scope) == "198.51.100.7"
        assert address_of({**self.scope, "headers": []}) == "127.0.0.1"

    def test_a_socket_of_the_machine_itself_has_none(self):
        assert address_of({"client": None, "headers": []}) == ""
