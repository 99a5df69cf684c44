"""Studies of Optuna. `data/` holds what Optuna 5.0 has written; where it is installed, it writes them anew."""

import sqlite3
from pathlib import Path

import pytest

from tunesmith.earlier.optuna_studies import of_object, read_study, studies_in_database, studies_in_journal
from tunesmith.errors import ConfigError

DATA = Path(__file__).parent / "data"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "study.db"
    connection = sqlite3.connect(path)
    connection.executescript((DATA / "study.sql").read_text(encoding="utf-8"))
    connection.close()
    return path


@pytest.fixture(params=["database", "journal"])
def studies(request):
    if request.param == "database":
        return studies_in_database(request.getfixturevalue("database"))
    with (DATA / "study.journal").open(encoding="utf-8") as lines:
        return studies_in_journal(lines)


def test_complete_trials_are_taken_and_the_others_counted(studies):
    found = read_study("s", studies, "one", 1)

    assert found.configs[0] == {"lr": 0.0017826497151386949, "model.depth": 7, "act": "tanh"}
    assert [config["act"] for config in found.configs] == ["tanh", None, "tanh", None, "tanh"]
    assert [losses[0] for losses in found.losses] == pytest.approx([7.00178, 1.00019, 7.00181, 1.04829, 3.05], rel=1e-5)
    assert found.left_out == {"were pruned": 1, "failed": 1, "did not complete": 1}
    assert found.total == 8


def test_what_is_maximized_is_a_negative_loss(studies):
    found = read_study("s", studies, "two", 2)

    assert [(losses[0], losses[1]) for losses in found.losses] == [(c["x"], -2 * c["x"]) for c in found.configs]
    assert len(found.configs) == 3


def test_a_study_that_was_deleted_is_not_there(studies):
    assert [study.name for study in studies] == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "objectives", "message"),
    [
        (None, 1, r"which study of s\? It has 'one', 'two'"),
        ("three", 1, "no study 'three'. It has 'one', 'two'"),
        ("two", 1, "has 2 objectives, and this experiment has 1"),
    ],
)
def test_a_study_that_does_not_fit_is_an_error_that_says_what_there_is(studies, name, objectives, message):
    with pytest.raises(ConfigError, match=message):
        read_study("s", studies, name, objectives)


def test_another_database_is_no_storage(tmp_path):
    connection = sqlite3.connect(tmp_path / "other.db")
    connection.execute("CREATE TABLE things (name)")
    connection.close()

    with pytest.raises(ConfigError, match=r"other\.db cannot be read as a storage of Optuna: no such table"):
        studies_in_database(tmp_path / "other.db")


def test_the_installed_optuna_writes_what_is_read(tmp_path):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)

    def objective(trial):
        width = trial.suggest_int("width", 8, 64, log=True)
        return trial.suggest_float("x", 0, 1, step=0.25) + width + (trial.suggest_categorical("c", ["a", 2]) == "a")

    journal = str(tmp_path / "s.journal")
    backend = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(journal))
    url = f"sqlite:///{tmp_path / 's.db'}"
    read = []
    for storage in (url, backend):
        study = optuna.create_study(study_name="s", storage=storage, sampler=optuna.samplers.RandomSampler(seed=1))
        study.optimize(objective, n_trials=3)
        read.append(read_study("s", [of_object(study)], None, 1))
    with Path(journal).open(encoding="utf-8") as lines:
        read.append(read_study("s", studies_in_journal(lines), None, 1))
    read.append(read_study("s", studies_in_database(tmp_path / "s.db"), None, 1))

    assert [(each.configs, each.losses) for each in read] == [(read[0].configs, read[0].losses)] * 4
    assert [set(config) for config in read[0].configs] == [{"width", "x", "c"}] * 3
