"""A session from its first event to its last: what it opens, what it writes down, and that it closes all of it."""

import json
import sys

import pytest

import tunesmith as tune
from tunesmith import invocation
from tunesmith.api import run
from tunesmith.core.events import ExperimentCreated, ExperimentFinished, SessionOpened, TrialLaunched
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader


def session(tmp_path, trainable=lambda config: 1, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "executor": "inline", "verbose": 0, "seed": 7}
    return run(trainable, **{**defaults, **arguments})


def events(tmp_path, kind):
    with JournalReader(tmp_path / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kind)]


def test_a_session_writes_down_what_it_was_given(tmp_path):
    session(
        tmp_path, space={"x": tune.uniform(0, 1)}, num_samples=3, metric="accuracy", mode="max",
        scheduler=tune.ASHAScheduler(),
    )  # fmt: skip

    [created] = events(tmp_path, ExperimentCreated)
    [opened] = events(tmp_path, SessionOpened)
    assert (created.name, created.seed, created.trainable) == ("e", 7, "lambda")
    assert created.space == "x: uniform(0.0, 1.0)"
    assert created.version == tune.__version__
    assert (opened.session, opened.metric, opened.mode, opened.trials_wanted) == (1, "accuracy", "max", 3)
    assert opened.scheduler == "ASHAScheduler"
    assert opened.searcher == "Auto"


def test_each_session_is_numbered_and_time_between_them_does_not_count(tmp_path):
    first = session(tmp_path).finished.at
    session(tmp_path, num_samples=2, resume="auto")

    opened = events(tmp_path, SessionOpened)
    assert [event.session for event in opened] == [1, 2]
    assert first <= opened[1].at < first + 1.0
    assert [event.reason for event in events(tmp_path, ExperimentFinished)] == ["completed", "completed"]


def test_an_experiment_keeps_its_own_seed(tmp_path):
    space = {"x": tune.uniform(0, 1)}
    session(tmp_path, space=space, seed=1)
    resumed = session(tmp_path, space=space, seed=2, num_samples=2, resume=True)
    whole = session(tmp_path, space=space, seed=1, num_samples=2, name="f")

    assert [trial.config for trial in resumed] == [trial.config for trial in whole]


def test_a_controller_that_died_before_its_first_word_is_no_reason_to_draw_anew(tmp_path):
    Journal.create(tmp_path / "e").close()
    space = {"x": tune.uniform(0, 1)}

    first = session(tmp_path, space=space, num_samples=2, resume="auto", seed=None)
    again = session(tmp_path, space=space, num_samples=4, resume="auto", seed=None)

    [created] = events(tmp_path, ExperimentCreated)
    whole = session(tmp_path, space=space, num_samples=4, seed=created.seed, name="f")
    assert [trial.config for trial in again] == [trial.config for trial in whole]
    assert len(first) == 4  # the same experiment


def test_a_resume_deletes_what_a_crash_has_left_of_checkpoints(tmp_path):
    def train(config):
        folder = tune.get_context().trial_folder / "state"
        folder.mkdir(exist_ok=True)
        (folder / "state").touch()
        tune.report({"x": 1}, checkpoint=folder)

    session(tmp_path, train)
    checkpoints = tmp_path / "e" / "trials" / "00000" / "checkpoints"
    (checkpoints / ".1-000002.tmp").mkdir()
    (checkpoints / "1-000002").mkdir()  # whole, and killed before anyone heard of it
    session(tmp_path, train, resume="auto")

    assert [path.name for path in checkpoints.iterdir()] == ["1-000001"]


def test_two_sessions_of_one_experiment_do_not_mix(tmp_path):
    session(tmp_path)
    journal = Journal.open(tmp_path / "e")
    try:
        with pytest.raises(tune.JournalLocked):
            session(tmp_path, resume="auto")
    finally:
        journal.close()
    session(tmp_path, resume="auto")


def test_a_damaged_journal_is_never_a_fresh_start(tmp_path):
    session(tmp_path, num_samples=5)
    file = tmp_path / "e" / "journal.db"
    data = bytearray(file.read_bytes())
    data[len(data) // 2 :] = b"\xff" * (len(data) - len(data) // 2)
    file.write_bytes(data)

    with pytest.raises(tune.JournalDamaged, match="tunesmith repair"):
        session(tmp_path, resume="auto")
    assert file.read_bytes() == bytes(data)


def test_the_executor_is_closed_however_it_ends(tmp_path):
    closed = []

    class Watched(tune.InlineExecutor):
        def close(self):
            closed.append(True)
            super().close()

    with pytest.raises(tune.ResourceError):
        session(tmp_path, executor=Watched(), resources={"cpu": 4000})
    assert closed
    closed.clear()
    session(tmp_path, executor=Watched())
    assert closed


def test_the_command_of_the_newest_session_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "1"])
    session(tmp_path)
    monkeypatch.setattr(sys, "argv", ["other.py"])
    session(tmp_path, resume="auto")

    found = json.loads((tmp_path / "e" / invocation.RECORD).read_text())
    assert found["argv"] == ["other.py"]
    assert found["python"] == sys.executable


def test_a_callback_gets_what_it_may_want_to_know(tmp_path):
    runs = []

    class Watching(tune.Callback):
        def open(self, run, experiment):
            runs.append((run, len(experiment.trials)))

        def handle(self, events, experiment):
            pass

    space = {"f": tune.choice([abs]), "x": tune.uniform(0, 1)}
    session(tmp_path, space=space, callbacks=[Watching()])
    session(tmp_path, space=space, callbacks=[Watching()], resume=True)

    (first, before), (_, at_resume) = runs
    assert (first.name, first.folder) == ("e", tmp_path / "e")
    assert first.parameters == ("f", "x")
    assert first.resolve({"f": {"$object": next(iter(first.resolve.__self__.objects))}}) == {"f": abs}
    assert (before, at_resume) == (0, 1)


def test_each_launch_is_journaled_once(tmp_path):
    session(tmp_path, num_samples=20)

    assert [event.trial for event in events(tmp_path, TrialLaunched)] == list(range(20))
