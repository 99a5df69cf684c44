import time

import pytest

from tunesmith.callbacks import upload
from tunesmith.callbacks.lost_checkpoints import LostCheckpoints
from tunesmith.callbacks.upload import Upload
from tunesmith.core.events import AttemptEnded, CheckpointDropped, Reported, Suggested
from tunesmith.core.experiment import Experiment
from tunesmith.errors import StorageError


class Remote:
    folder = "here"

    def __init__(self):
        self.pushed = []
        self.fails = False

    def push(self, *, is_running):
        self.pushed.append(is_running)
        if self.fails:
            raise StorageError("s3://bucket is down")


@pytest.fixture
def uploads(monkeypatch):
    """`uploads(count)`: let time pass until so many copies were tried."""
    remote = Remote()
    monkeypatch.setattr(upload, "FIRST_AFTER", 0.01)
    monkeypatch.setattr(upload, "UPLOAD_EVERY", 0.01)
    callback = Upload(remote)

    def until(count):
        deadline = time.monotonic() + 10
        while len(remote.pushed) < count:
            callback.flush(None)
            assert time.monotonic() < deadline

    return remote, callback, until


def test_the_journal_is_copied_from_time_to_time_and_at_the_end(uploads):
    remote, callback, until = uploads
    until(3)
    callback.close(None)

    assert remote.pushed[:3] == [True] * 3
    assert remote.pushed[-1] is False


def test_a_copy_that_fails_is_told_once_and_tried_again(uploads, capsys):
    remote, callback, until = uploads
    remote.fails = True
    until(3)
    callback.close(None)

    first, last = capsys.readouterr().err.splitlines()
    assert first == "tunesmith: the journal was not copied; it will be tried again. s3://bucket is down"
    assert "it is whole in here, and copied when the run is resumed from there. s3://bucket is down" in last


def lost(number):
    return Reported(at=0, trial=0, attempt=1, number=number, metrics={}, checkpoint_failure="no room")


def test_of_many_lost_checkpoints_some_are_told_and_then_how_many_there_were(capsys):
    experiment = Experiment()
    experiment.apply(Suggested(at=0, configs=({},)))
    callback = LostCheckpoints()
    callback.handle([lost(1), Reported(at=0, trial=0, attempt=1, number=2, metrics={})], experiment)
    callback.handle([CheckpointDropped(at=0, trial=0, checkpoint="x", reason="it is gone")], experiment)
    callback.handle([CheckpointDropped(at=0, trial=0, checkpoint="x")], experiment)
    callback.handle(
        [AttemptEnded(at=0, trial=0, attempt=1, outcome="halted", checkpoint_failure="no room")], experiment
    )
    callback.handle([lost(number) for number in range(3, 9)], experiment)
    callback.close(experiment)

    goes_on = "When it is started again, it goes on from its beginning."
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        f"tunesmith: trial 0: the checkpoint of its result 1 could not be stored (no room). {goes_on}",
        f"tunesmith: trial 0: it is gone. {goes_on}",
        f"tunesmith: trial 0: its last checkpoint could not be stored (no room). {goes_on}",
    ]
    assert len(lines) == 6
    assert lines[5] == "tunesmith: 4 more checkpoints were lost; see `tunesmith show`."
