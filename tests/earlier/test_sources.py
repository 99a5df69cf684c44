"""What `warm_from=` takes, and what is said of it."""

import sqlite3
from pathlib import Path

import pandas as pd
import pytest

import tunesmith as tune
from tunesmith.core.objective import Objective
from tunesmith.earlier import sources
from tunesmith.earlier.sources import as_sources, earlier_trials
from tunesmith.errors import ConfigError, ExperimentNotFound, MissingExtra
from tunesmith.space.space import Space

DATA = Path(__file__).parent / "data"
LOSS = [Objective("loss", "min")]
SPACE = {"lr": tune.loguniform(1e-5, 1), "model": {"depth": tune.randint(1, 10)}}
ROWS = [{"lr": 0.1, "depth": 2, "loss": 1.0}, {"lr": 0.2, "depth": 3, "loss": 2.0}, {"lr": 9, "depth": 3, "loss": 0}]


def taken(warm_from, space=SPACE, objectives=LOSS, known=()):
    return list(earlier_trials(as_sources(warm_from), Space(space), objectives, known=known))


@pytest.fixture
def places(tmp_path):
    """Sources of every kind, each with trials that lie in the space."""
    connection = sqlite3.connect(tmp_path / "study.db")
    connection.executescript((DATA / "study.sql").read_text(encoding="utf-8"))
    connection.close()
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "table.csv", index=False)
    frame.to_csv(tmp_path / "table.tsv", index=False, sep="\t")
    ours = tune.run(
        lambda config: {"loss": config["lr"]}, space=SPACE, num_samples=3, seed=1, executor="inline", verbose=0,
        metric="loss", mode="min", name="ours", storage_path=tmp_path,
    )  # fmt: skip
    database = str(tmp_path / "study.db")
    return {
        "results": ours,
        "folder": tmp_path / "ours",
        "journal": tmp_path / "ours" / "journal.db",
        "study": (database, "one"),
        "url": (f"sqlite:///{database}", "one"),
        "dict": {"source": database, "study": "one"},
        "journal file": (DATA / "study.journal", "one"),
        "ray": DATA / "ray",
        "csv": tmp_path / "table.csv",
        "tsv": str(tmp_path / "table.tsv"),
        "frame": frame,
        "list": [ROWS],
    }


OF_STUDY = "1 was pruned; 1 failed; 1 did not complete; the space has no 'act'"
TOLD = {
    "results": "took 3 of 3 trials from {tmp}/ours",
    "folder": "took 3 of 3 trials from {tmp}/ours",
    "journal": "took 3 of 3 trials from {tmp}/ours/journal.db",
    "study": f"took 5 of 8 trials from {{tmp}}/study.db (one); {OF_STUDY}",
    "url": f"took 5 of 8 trials from sqlite:///{{tmp}}/study.db (one); {OF_STUDY}",
    "dict": f"took 5 of 8 trials from {{tmp}}/study.db (one); {OF_STUDY}",
    "journal file": f"took 5 of 8 trials from {{data}}/study.journal (one); {OF_STUDY}",
    "ray": "took 4 of 4 trials from {data}/ray; the space has no 'layers', 'model/kind', 'wd'",
    "csv": "took 2 of 3 trials from {tmp}/table.csv; 1 lies outside the space",
    "tsv": "took 2 of 3 trials from {tmp}/table.tsv; 1 lies outside the space",
    "frame": "took 2 of 3 trials from warm_from[0]; 1 lies outside the space",
    "list": "took 2 of 3 trials from warm_from[0]; 1 lies outside the space",
}


def test_each_kind_of_source_is_known_for_what_it_is(places, tmp_path):
    assert set(places) == set(TOLD)
    for kind, source in places.items():
        [event] = taken(source)
        assert event.told == TOLD[kind].format(tmp=tmp_path, data=DATA), kind
        assert all(set(config) == {"lr", "model"} for config in event.configs), kind
        assert len(event.losses) == len(event.configs)


def test_several_sources_come_in_their_order_and_known_ones_are_not_read_again(places, tmp_path):
    both = [places["csv"], places["ray"]]
    assert [event.source for event in taken(both)] == [str(tmp_path / "table.csv"), str(DATA / "ray")]

    (tmp_path / "table.csv").unlink()
    assert [event.source for event in taken(both, known={str(tmp_path / "table.csv")})] == [str(DATA / "ray")]


def test_a_metric_may_be_called_otherwise_there():
    rows = [{"lr": 0.1, "accuracy": 0.7}, {"lr": 0.2, "accuracy": 0.9}]

    [event] = taken({"source": rows, "metric": "accuracy", "mode": "max"})

    assert event.losses == ((-0.7,), (-0.9,))


def test_what_all_of_them_do_not_say_is_told():
    [event] = taken([[{"lr": 0.1, "loss": 1.0}]])

    assert event.told == "took 1 of 1 trials from warm_from[0]; they do not say 'model/depth'"


def test_of_very_many_trials_some_are_taken_evenly_by_rank(monkeypatch):
    monkeypatch.setattr(sources, "MOST_TRIALS", 3)

    [event] = taken([[{"lr": 0.1, "loss": float(loss)} for loss in (4, 0, 3, 1, 2)]])

    assert event.losses == ((0.0,), (2.0,), (4.0,))
    assert event.told.startswith("took 5 of 5")


@pytest.mark.parametrize(
    ("warm_from", "message"),
    [
        ({"lr": 0.1, "loss": 1}, r"A table is a list of dicts: warm_from=\[\[\{"),
        (3, "give the folder or the Results of an experiment"),
        ([[{"lr": 9.0, "loss": 1.0}]], "none of the 1 trials of .* can be used: 1 lies outside the space"),
        ([[{"lr": 0.1, "loss": None}]], "can be used: 1 has no usable 'loss'"),
        ({"source": ROWS, "metric": ["a", "b"]}, "give one for each of 1 metrics"),
    ],
)
def test_what_cannot_be_used_is_an_error_that_says_why(warm_from, message):
    with pytest.raises(ConfigError, match=message):
        taken(warm_from)


def test_a_source_that_is_not_there_is_an_error():
    with pytest.raises(ExperimentNotFound, match="there is no nowhere"):
        taken("nowhere")


def test_an_empty_folder_is_no_experiment(tmp_path):
    with pytest.raises(ExperimentNotFound, match="there is no experiment in"):
        taken(tmp_path)


def test_without_a_metric_there_is_nothing_to_take():
    with pytest.raises(ConfigError, match="nothing is optimised here"):
        taken([ROWS], objectives=[])


def test_a_parquet_file_needs_its_packages(tmp_path, monkeypatch):
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + bytes(100))
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)

    with pytest.raises(MissingExtra, match=r"pip install 'tunesmith\[parquet\]'"):
        taken(tmp_path / "t.parquet")
