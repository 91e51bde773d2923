import time

from mergewright.app.rates import KNOWN, Rate


def test_whoever_asks_too_often_is_told_how_long_to_wait() -> None:
    rate = Rate(2, 0.2)
    assert [rate.take("ann"), rate.take("ann")] == [0.0, 0.0]
    waits = rate.take("ann")
    assert 0.0 < waits <= 0.1
    assert rate.take("bob") == 0.0
    time.sleep(waits + 0.01)
    assert rate.take("ann") == 0.0


def test_many_strangers_do_not_free_whoever_waits_now() -> None:
    rate = Rate(1, 3600.0)
    rate.take("ann")
    for number in range(KNOWN - 1):
        rate.take(number)
    assert rate.take("ann") > 0.0
