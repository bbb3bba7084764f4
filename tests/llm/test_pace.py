"""How far apart reads are."""

from django.test import SimpleTestCase, override_settings

from chat.llm.pace import SLOWEST, Pace


class Thread:
    """A thread whose clocks are set by hand."""

    def __init__(self):
        self.now = self.used = 0.0
        self.pace = Pace(clock=lambda: self.now, used=lambda: self.used)

    def work(self, share, *, seconds=2.0):
        for _ in range(int(seconds * 10)):
            self.now += 0.11
            self.used += share * 0.11
            found = self.pace.seconds()
        return found


@override_settings(CHAT={"PACE_MS": 20})
class PaceTests(SimpleTestCase):
    def test_reads_of_an_idle_thread_are_as_close_as_set(self):
        self.assertAlmostEqual(Thread().work(0.05), 0.02)

    def test_reads_of_a_busy_thread_are_farther_apart_but_not_without_bound(self):
        self.assertAlmostEqual(Thread().work(1.0), 0.02 * SLOWEST)

    def test_the_distance_grows_with_the_load(self):
        found = [Thread().work(share) for share in (0.1, 0.2, 0.3, 0.5)]
        self.assertEqual(found, sorted(found))
        self.assertLess(found[1], found[2])

    def test_one_burst_is_no_load(self):
        thread = Thread()
        thread.work(0.05)
        self.assertLess(thread.work(1.0, seconds=0.1), 0.02 * SLOWEST)

    def test_reads_are_close_again_after_the_load(self):
        thread = Thread()
        thread.work(1.0)
        self.assertAlmostEqual(thread.work(0.0, seconds=5), 0.02)

    def test_no_pace_is_none_under_load_either(self):
        with override_settings(CHAT={"PACE_MS": 0}):
            self.assertEqual(Thread().work(1.0), 0)

    def test_the_real_clocks_are_those_of_the_machine(self):
        self.assertGreaterEqual(Pace().seconds(), 0.02)
