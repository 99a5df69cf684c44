import os
import signal
import time

import pytest

from tunesmith.worker.lease import KILL_AFTER, Lease
from tunesmith.worker.system import IS_LINUX, Alarm, steady_clock

NEVER = float("-inf")


def lease(*, since=None, length=15.0):
    made = Lease(steady_clock(counts_sleep=True) if since is None else since, counts_sleep=True)
    made.set_length(length)
    return made


def test_a_lease_is_counted_from_when_the_driver_is_known_to_have_been_there():
    now = steady_clock(counts_sleep=True)

    assert not lease(since=now - 14).is_over
    assert lease(since=now - 16).is_over


def test_a_greeting_renews_it_from_when_the_driver_had_heard_us():
    made = lease(since=steady_clock(counts_sleep=True) - 16)

    made.renew(at=1000.0, heard=made.now() - 1)

    assert not made.is_over


def test_a_greeting_that_was_long_on_its_way_renews_nothing():
    made = lease(since=steady_clock(counts_sleep=True) - 20)

    made.renew(at=1000.0, heard=made.now() - 16)

    assert made.is_over


def test_a_greeting_of_a_driver_that_has_heard_nothing_yet_renews_nothing():
    made = lease(since=steady_clock(counts_sleep=True) - 16)

    made.renew(at=1000.0, heard=NEVER)

    assert made.is_over


def test_once_the_clocks_were_compared_a_greeting_counts_from_when_it_was_sent():
    # What we say may be read late, when the driver has much to read: that is no reason to end.
    made = lease(since=steady_clock(counts_sleep=True) - 100)
    heard = made.now()
    made.renew(at=1000.0, heard=heard)  # the driver's clock shows at least 1000 where ours shows `heard`

    made.set_length(5.0)
    made.renew(at=1000.0 - 10, heard=NEVER)  # an old one, that comes late
    assert made.now() - heard < 5
    assert not made.is_over  # the newer one counts

    late = lease(since=steady_clock(counts_sleep=True) - 100)
    late.renew(at=1000.0 - 60, heard=late.now() - 60)
    late.renew(at=1000.0, heard=late.now() - 60)  # sent just now, though it answers what we said a minute ago
    assert not late.is_over


@pytest.mark.skipif(not IS_LINUX, reason="the kernel's timers are Linux's")
@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_process_that_cannot_see_its_lease_end_is_killed_by_the_kernel(is_stopped):
    child = os.fork()
    if child == 0:
        made = lease(length=0.2)
        made.enforce()
        while True:
            if is_stopped:
                os.kill(os.getpid(), signal.SIGSTOP)  # again and again: being made to go on does not help it
            time.sleep(0.01)
    began = time.monotonic()

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert time.monotonic() - began > 0.2 + KILL_AFTER - 0.1


@pytest.mark.skipif(not IS_LINUX, reason="the kernel's timers are Linux's")
def test_an_alarm_that_is_put_off_does_not_come():
    child = os.fork()
    if child == 0:
        alarm = Alarm.made(signal.SIGKILL, counts_sleep=True)
        alarm.set(steady_clock(counts_sleep=True) + 0.2)
        alarm.set(steady_clock(counts_sleep=True) + 60)
        time.sleep(0.4)
        os._exit(7)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
