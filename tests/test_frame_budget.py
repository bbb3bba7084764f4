from chat.management.frame_budget import FRAMES_AT_ONCE, FRAMES_PER_SECOND, FrameBudget


def test_a_bucket_is_spent_and_refills_with_time_up_to_its_brim():
    now = 100.0
    budget = FrameBudget(clock=lambda: now)
    assert budget.spend(FRAMES_AT_ONCE)
    assert not budget.spend()
    now += 1.5
    assert budget.spend(FRAMES_PER_SECOND)
    now += 3600
    assert budget.spend(FRAMES_AT_ONCE)
    assert not budget.spend()
