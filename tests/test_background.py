"""Work in a thread of its own."""

from __future__ import annotations

import threading

import pytest

from tunesmith.background import Background


@pytest.fixture
def background():
    done = threading.Semaphore(0)
    background = Background(done.release, name="work")
    background.has_one = lambda: done.acquire(timeout=30)
    yield background
    background.close()
    background.join(30)


def test_work_is_done_in_another_thread(background):
    background.begin(threading.current_thread)

    assert background.has_one()
    assert background.taken().value is not threading.current_thread()
    assert background.taken() is None


def test_what_work_raises_is_its_outcome_and_the_next_piece_is_done(background):
    def fails():
        raise SystemExit("no more")

    background.begin(fails)
    assert background.has_one()
    assert repr(background.taken().error) == "SystemExit('no more')"
    background.begin(lambda: 7)
    assert background.has_one()
    assert background.taken().value == 7


def test_after_close_nobody_is_told_and_the_thread_ends():
    told, goes_on = [], threading.Event()
    background = Background(lambda: told.append(1), name="work")
    background.begin(lambda: goes_on.wait(30))
    background.close()
    background.join(0.0)
    assert background._thread.is_alive()
    goes_on.set()
    background.join(30)

    assert not background._thread.is_alive()
    assert told == []
    assert background.taken() is None


def test_without_work_there_is_no_thread():
    background = Background(lambda: None, name="work")
    background.close()
    background.join(30)

    assert background._thread is None
