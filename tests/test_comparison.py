import json
import math
import os
import pty
import random
import statistics
import subprocess
import sys

import pytest
from click.testing import CliRunner

import tunesmith as tune
from tunesmith.analysis.comparisons import estimated
from tunesmith.cli import main

STEPS = 9


def curves(count=30, cut=()):
    """Curves whose order at the first step is not that at the last."""
    draw = random.Random(1)
    made = []
    for number in range(count):
        start, end = draw.random(), draw.random()
        values = [end + (start - end) / step for step in range(1, STEPS + 1)]
        is_cut = number in cut
        made.append(
            {
                "config": {"x": number},
                "metrics": {
                    "loss": values[:2] if is_cut else values,
                    "cost": [float(number)] * (2 if is_cut else STEPS),
                },
                "seconds": draw.random() + 0.5,
                "ended": "stopped" if is_cut else "completed",
            }
        )
    return made


def table(**options):
    return tune.CurveTable(curves(**options), metric="loss", mode="min", workers=3)


@pytest.fixture(scope="module")
def compared():
    return tune.compare(table(), ["asha(grace_period=1,reduction_factor=3)", "median"], seeds=5)


def test_the_first_row_runs_every_trial_to_its_end(compared):
    fifo = compared.rows[0]

    assert fifo.scheduler == "fifo"
    assert fifo.is_exact
    assert [outcome.compute for outcome in fifo.outcomes] == [1.0] * 5
    assert [outcome.regret for outcome in fifo.outcomes] == [0.0] * 5
    assert [outcome.value for outcome in fifo.outcomes] == [table().best()] * 5


@pytest.mark.parametrize("workers", [1, 3, 40])
@pytest.mark.parametrize("start_delay", [0.0, 1.7])
def test_the_first_row_is_what_a_simulation_of_it_would_find(workers, start_delay):
    row = tune.compare(table(cut=range(4)), [], seeds=3, workers=workers, start_delay=start_delay).rows[0]

    for outcome in row.outcomes:
        found = tune.simulate(table(cut=range(4)), workers=workers, seed=outcome.seed, start_delay=start_delay)
        assert outcome.value == found.best_value
        assert outcome.seconds == found.seconds
        assert (outcome.stopped, outcome.censored) == (found.stopped_early, found.censored)
        assert found.compute_seconds == pytest.approx(table(cut=range(4)).seconds + 30 * start_delay)


@pytest.mark.parametrize("name", ["asha", "asha_promotion", "pasha", "top_k", "hyperband", "median", "percentile"])
def test_every_scheduler_that_leaves_configs_alone_can_be_compared_by_name(name):
    row = tune.compare(table(), [name], seeds=2)[name]

    assert row.is_exact
    assert all(0 < outcome.compute <= 1 + 1e-9 for outcome in row.outcomes)


def test_each_outcome_is_that_of_the_simulation_of_its_seed(compared):
    row = compared["asha(grace_period=1,reduction_factor=3)"]
    scheduler = tune.ASHAScheduler(max_t=STEPS, grace_period=1, reduction_factor=3)

    for outcome in row.outcomes:
        found = tune.simulate(table(), scheduler=scheduler, workers=3, seed=outcome.seed)
        assert outcome.value == found.best_value
        assert outcome.regret == found.best_value - table().best()
        assert outcome.seconds == found.seconds
        assert outcome.compute == pytest.approx(found.compute_seconds / table().seconds)
        assert (outcome.stopped, outcome.censored) == (found.stopped_early, 0)
    assert len({outcome.seconds for outcome in row.outcomes}) > 1  # the orders differ


def test_the_ranking_is_by_regret_and_then_by_compute(compared):
    means = {row.scheduler: (row.estimate("regret").mean, row.estimate("compute").mean) for row in compared.rows}

    assert compared.ranking == sorted(means, key=means.__getitem__)
    assert compared.note == ""


def test_a_scheduler_with_censored_trials_is_counted_shown_and_never_ranked():
    found = tune.compare(
        table(cut=range(10)), {"early": "asha(grace_period=1)", "late": "asha(grace_period=9)"}, seeds=3
    )

    assert {outcome.censored for outcome in found["fifo"].outcomes} == {10}
    assert {outcome.censored for outcome in found["late"].outcomes} == {10}
    assert found.ranking == [row.scheduler for row in found.rows if row.is_exact]
    assert not {"fifo", "late"} & set(found.ranking)
    assert found.note.startswith("censored: 10 of the 30 recorded curves were cut short")
    late = found.cells()[2]
    assert late[0] == "late"
    assert late[1].startswith("~")
    assert late[-1] == "10"
    assert found.note in repr(found)


def test_several_metrics_can_be_compared_by():
    found = tune.compare(table(), ["median"], metric="cost", mode="max", seeds=2)

    assert (found.best, found.objective.mode) == (29.0, "max")
    assert found["fifo"].estimate("value").mean == 29.0


def test_objects_and_names_are_compared_under_their_labels():
    one, other = tune.ASHAScheduler(max_t=3), tune.ASHAScheduler(max_t=9)

    found = tune.compare(table(), {"short": one, "long": other, "m": "median"}, seeds=1)
    assert [row.scheduler for row in found.rows] == ["fifo", "short", "long", "m"]
    assert [row.scheduler for row in tune.compare(table(), [one], seeds=1).rows] == ["fifo", "ASHAScheduler"]
    assert [row.scheduler for row in tune.compare(table(), "fifo", seeds=1).rows] == ["fifo"]
    with pytest.raises(KeyError, match="no scheduler 'x' was compared; there are fifo, short, long, m"):
        found["x"]


def test_what_a_scheduler_has_to_say_is_a_note():
    class Warns(tune.FIFOScheduler):
        warnings = ("mind the gap",)

    found = tune.compare(table(), {"w": Warns()}, seeds=2)

    assert found.notes == ("w: mind the gap",)


def test_an_interval_is_students():
    values = [1.0, 2.0, 4.0, 4.5]
    estimate = estimated(values)
    # 3.182446 is the 97.5% quantile of Student's t with 3 degrees of freedom.
    half = 3.182446 * statistics.stdev(values) / 2

    assert estimate.mean == statistics.mean(values)
    assert (estimate.low, estimate.high) == pytest.approx((estimate.mean - half, estimate.mean + half), rel=1e-5)
    cut = estimated(values, least=0.5, most=5.0)
    assert (cut.low, cut.high) == (0.5, 5.0)
    assert estimated([0.1] * 7).low == estimated([0.1] * 7).mean == 0.1
    assert (estimated([3.0]).low, estimated([3.0]).shown()) == (None, "3")


def test_progress_is_told():
    told = []
    tune.compare(table(), ["median"], seeds=2, on_progress=lambda *progress: told.append(progress))

    assert told == [("median", 1), ("median", 2)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experiment": len}, "compare(<built-in function len>): give an experiment that has run, or a table"),
        ({"experiment": curves()}, "compare by what? Add metric= and mode=. The curves have: loss, cost."),
        ({"experiment": curves(), "metric": "loss"}, "metric='loss': is lower or higher better?"),
        ({"metric": "accuracy"}, "metric='accuracy': no curve of the table has it."),
        ({"metric": "cost"}, "metric='cost': is lower or higher better?"),
        ({"schedulers": ["ahsa"]}, "there is none of that name. Did you mean 'asha'?"),
        ({"schedulers": [3]}, "schedulers=: 3 is no scheduler."),
        ({"schedulers": [tune.ASHAScheduler(), tune.ASHAScheduler()]}, "two schedulers are a ASHAScheduler."),
        ({"schedulers": {"fifo": "asha"}}, "the label 'fifo' is that of the first row"),
        ({"seeds": 0}, "seeds=0: give a whole number of at least 1."),
        ({"workers": 0}, "workers=0: give a whole number of at least 1."),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    given = {"experiment": table(), **arguments}

    with pytest.raises(tune.ConfigError) as raised:
        tune.compare(given.pop("experiment"), **given)

    assert message in str(raised.value)


def test_a_metric_without_a_number_is_nothing_to_compare_by():
    with pytest.raises(tune.ConfigError, match="no recorded curve has a usable 'loss', so there is nothing to compare"):
        tune.compare([{"config": {}, "metrics": {"loss": [math.nan]}}], metric="loss", mode="min")


def test_a_comparison_is_a_page_and_a_data_frame(compared):
    pytest.importorskip("pandas")

    assert compared._repr_html_().count("<tr>") == 4
    frame = compared.dataframe()
    assert len(frame) == 3 * 5
    assert list(frame.columns) == ["scheduler", "seed", "value", "regret", "compute", "seconds", "stopped", "censored"]


# The command.


def command(*arguments):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture
def file(tmp_path):
    table().save(tmp_path / "curves.json.gz")
    return tmp_path / "curves.json.gz"


def test_the_command_prints_a_row_per_scheduler(file):
    result = command(file, "--scheduler", "asha", "--scheduler", "median", "--seeds", 3)

    assert result.exit_code == 0, result.output
    title, head, *rows = result.stdout.splitlines()
    assert title.startswith("30 trials on 3 workers, 3 random orders; best on record: loss=0.0")
    assert head.split() == "scheduler loss regret compute vs. fifo wall clock stopped censored".split()  # noqa: SIM905
    assert [row.split()[0] for row in rows[:3]] == ["fifo", "asha", "median"]
    assert "100.0%" in rows[0]
    assert rows[-1] == "[..] and ±: 95% interval of the mean over the random orders"


def test_the_command_says_what_censored_means(tmp_path):
    table(cut=range(5)).save(tmp_path / "curves.npz")
    result = command(tmp_path / "curves.npz", "--seeds", 1)

    assert [line.split()[0] for line in result.stdout.splitlines()[2:5]] == ["fifo", "asha", "median"]
    assert "censored: 5 of the 30 recorded curves were cut short" in result.stdout


def test_a_narrow_terminal_hides_nothing(file):
    listing = on_a_terminal(
        "compare", str(file), "--scheduler", "asha(grace_period=3, reduction_factor=3)", "--seeds", "3"
    )

    assert "reduction_factor=3): 3 of 3" in listing
    assert "…" not in listing
    for word in ("censored", "regret", "100.0%", "factor=3)"):
        assert word in listing


def on_a_terminal(*arguments):
    """What a command prints on a terminal of 80 columns."""
    controller, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tunesmith.cli", *arguments], stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    printed = b""
    try:
        while chunk := os.read(controller, 65536):
            printed += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(controller)
    assert process.wait() == 0, printed.decode()
    return printed.decode()


def test_the_command_speaks_json(file):
    found = json.loads(command(file, "--scheduler", "asha(grace_period=3)", "--seeds", 2, "--json").stdout)

    assert (found["metric"], found["mode"], found["trials"], found["workers"], found["seeds"]) == (
        "loss",
        "min",
        30,
        3,
        2,
    )
    assert [row["scheduler"] for row in found["schedulers"]] == ["fifo", "asha(grace_period=3)"]
    assert found["schedulers"][0]["compute"] == {"mean": 1.0, "low": 1.0, "high": 1.0}
    assert found["ranking"]


def test_the_command_compares_on_an_experiment_that_has_run(tmp_path):
    def train(config):
        for step in range(1, 10):
            tune.report({"loss": config["x"] + 1 / step})

    tune.run(train, space={"x": tune.grid_search([3, 1, 2])}, metric="loss", mode="min", executor="inline", verbose=0,
             name="digits", storage_path=tmp_path)  # fmt: skip

    result = command("digits", "-s", tmp_path, "--seeds", 2, "--workers", 2)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("3 trials on 2 workers, 2 random orders; best on record: loss=1.111\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--scheduler", "ahsa"], "there is none of that name. Did you mean 'asha'?"),
        (["--scheduler", "asha(maxt=3)"], "Did you mean max_t?"),
        (["--metric", "accuracy"], "no curve of the table has it. They have: loss, cost."),
        (["--seeds", "0"], "seeds=0: give a whole number of at least 1."),
        (["--workers", "0"], "workers=0: give a whole number of at least 1."),
    ],
)
def test_the_command_refuses_in_one_line(file, arguments, message):
    result = command(file, *arguments)

    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_experiment_that_is_not_there_is_said(tmp_path):
    result = command("nowhere", "-s", tmp_path)

    assert result.exit_code == 2
    assert "there is no experiment 'nowhere'" in result.stderr
