import math

import pytest
from msgspec.structs import replace
from random_runs import METRIC, Run
from scipy import stats
from test_paired import naive_wilcoxon

from tunesmith.core.commands import Suggest
from tunesmith.core.engine import fold
from tunesmith.core.events import (
    Reported,
    SessionOpened,
    SpaceExhausted,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import ONE_RESULT
from tunesmith.core.trial import Trial
from tunesmith.errors import ConfigError
from tunesmith.schedulers.racing import RacingScheduler
from tunesmith.testing import check_scheduler

SHAPES = [
    {"count": 5},
    {"count": 4, "min_replicates": 2, "alpha": 0.2},
    {"count": 8, "test": "wilcoxon", "alpha": 0.1},
    {"count": 6, "test": "wilcoxon", "min_replicates": 4, "alpha": 0.3},
]


class ReplicatedRun(Run):
    """A run whose trials are replicates, in blocks of four configs."""

    count = 5

    def _feed(self, event):
        return super()._feed(replace(event, replicates=self.count) if isinstance(event, SessionOpened) else event)

    def _perform(self, command):
        if not isinstance(command, Suggest):
            return super()._perform(command)
        configs = self.trials // self.count
        order = [
            (config, replicate)
            for first in range(0, configs, 4)
            for replicate in range(self.count)
            for config in range(first, min(configs, first + 4))
        ]
        first = self.experiment.next_number
        offered = order[first : first + command.count]
        if not offered:
            return self._feed(SpaceExhausted(at=self.at))
        return self._feed(
            Suggested(at=self.at, configs=tuple({"config": config, "replicate": k} for config, k in offered))
        )

    def _value(self, trial):
        config = self.experiment.trials[trial].config
        if self.random.random() < 0.05:
            return {METRIC: math.nan}
        noise = self.random.randint(-1, 1) if self.values == "lattice" else self.random.gauss(0, 0.7)
        return {METRIC: float(config["config"] * 7 % 5 + 3 * (config["replicate"] % 2) + noise)}


def play(shape, seed, **arguments):
    shape = dict(shape)
    count = shape.pop("count")
    run_class = type("SomeRun", (ReplicatedRun,), {"count": count})
    return run_class(RacingScheduler(**shape), seed, trials=10 * count, longest=6, trouble=0.03, **arguments).play()


# The rule, written again: after each completed trial everything is looked at from the beginning.


def naive_losers(journal, mode, *, count, test="paired_t", alpha=0.05, min_replicates=None):
    """Config -> index in the journal of the event at which it loses."""
    if min_replicates is None:
        sure = [n for n in range(2, count) if 0.5**n <= alpha / (count - n)]
        min_replicates = 3 if test == "paired_t" else sure[0]
    level = alpha / (count - min_replicates)
    configs, best, ended, counted, losers = [], {}, set(), {}, {}
    for index, event in enumerate(journal):
        if isinstance(event, Suggested):
            configs += event.configs
        elif isinstance(event, Reported) and math.isfinite(value := event.metrics.get(METRIC, math.nan)):
            loss = -value if mode == "max" else value
            best[event.trial] = min(loss, best.get(event.trial, math.inf))
        elif isinstance(event, TrialStopped | TrialFailed | TrialCompleted):
            ended.add(event.trial)
        if not isinstance(event, TrialCompleted) or event.trial not in best:
            continue
        config = configs[event.trial]
        counted.setdefault(config["config"], {})[config["replicate"]] = best[event.trial]
        mean = {each: math.fsum(values.values()) / len(values) for each, values in counted.items()}
        able = [each for each, values in counted.items() if len(values) >= min_replicates]
        if not able:
            continue
        incumbent = min(able, key=lambda each: (-len(counted[each]), mean[each], each))
        over = {each for each in counted if sum(configs[trial]["config"] == each for trial in ended) == count}
        for each in set(counted) - over - {incumbent} - set(losers):
            shared = counted[each].keys() & counted[incumbent].keys()
            if not min_replicates <= len(shared) < count:
                continue
            mine, other = ([counted[who][k] for k in sorted(shared)] for who in (each, incumbent))
            if naive_probability(test, mine, other) <= level:
                losers[each] = index
    return losers


def naive_probability(test, mine, other):
    differences = [a - b for a, b in zip(mine, other, strict=True)]
    if test == "wilcoxon":
        return naive_wilcoxon(differences)
    if max(differences) - min(differences) < 1e-9:
        return 0.0 if differences[0] > 0 else 1.0
    return stats.ttest_rel(mine, other, alternative="greater").pvalue


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_stops_the_replicates_of_those_that_lose_by_the_naive_rule_and_no_others(shape, mode, values):
    stopped = 0
    for seed in range(3):
        run = play(shape, seed, mode=mode, values=values)
        losers = naive_losers(run.journal, mode, **shape)

        assert run.experiment.finished.reason == "completed"
        reports = {}
        for index, event in enumerate(run.journal):
            if isinstance(event, TrialStopped | Reported | TrialLaunched):
                lost_at = losers.get(run.experiment.trials[event.trial].config["config"], math.inf)
                is_out = index > lost_at
                if isinstance(event, TrialStopped):
                    assert is_out, f"{event} of a config that had not lost"
                    stopped += 1
                elif isinstance(event, TrialLaunched):
                    assert not is_out, f"{event} of a config that had lost"
                elif is_out:
                    reports[event.trial] = reports.get(event.trial, 0) + 1
        assert all(count == 1 for count in reports.values()), "it was told at its next result"
        assert all(run.experiment.trials[trial].status == "stopped" for trial in reports)
    assert stopped > 3


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    shape_ = {key: value for key, value in shape.items() if key != "count"}
    run = play(shape, 5)
    folded, experiment = RacingScheduler(**shape_), Experiment()
    live, again = RacingScheduler(**shape_), Experiment()

    for event in run.journal:
        fold([event], experiment, [folded])
        for trial in experiment.trials[:5]:
            if trial.last is not None:
                folded.decide(trial.last, experiment)
        folded.choose(experiment)
        fold([event], again, [live])
        assert folded.choose(experiment) == live.choose(again)
    assert folded.describe() == live.describe() == run.scheduler.describe()


def test_a_trial_may_hear_of_it_at_every_result():
    assert RacingScheduler().lease(Trial(0, {}, None), Experiment()) == ONE_RESULT


def test_a_run_without_a_race_says_so():
    assert RacingScheduler().describe() == "race: no config has enough replicates yet"


def opened(scheduler, replicates):
    scheduler.observe(SessionOpened(at=0.0, session=1, started=0.0, replicates=replicates), Experiment())


def a_replicate(draw):
    return {"replicate": draw.randint(0, 3), "x": draw.random()}


@pytest.mark.parametrize("test", ["paired_t", "wilcoxon"])
def test_whatever_goes_wrong_the_contract_holds(test):
    check_scheduler(
        lambda: RacingScheduler(4, test=test, alpha=0.3, min_replicates=2 + (test == "wilcoxon")),
        draw_config=a_replicate,
        runs=15,
        trials=40,
        longest=4,
    )


def test_without_replicates_nobody_is_stopped():
    run = Run(RacingScheduler(), 1).play()

    assert run.experiment.finished.reason == "completed"
    assert not run.stops


def test_another_number_than_the_runs_is_refused():
    with pytest.raises(ConfigError, match="replicates=5, but the run has replicates=4"):
        opened(RacingScheduler(5), 4)


def test_a_test_that_could_never_stop_anything_is_refused_when_the_number_is_known():
    with pytest.raises(ConfigError, match=r"can stop nothing.*p = 0.0625, and alpha allows 0.05"):
        opened(RacingScheduler(test="wilcoxon"), 5)
    assert RacingScheduler(6, test="wilcoxon").min_replicates == 5
    assert RacingScheduler(10, test="wilcoxon").min_replicates == 7


BAD_ARGUMENTS = [
    ({"replicates": 1}, "replicates=1: give a whole number of at least 2."),
    ({"test": "friedman"}, "test='friedman': give one of 'paired_t', 'wilcoxon'."),
    ({"alpha": 0}, "alpha=0 is too small: it must be above 0."),
    ({"alpha": 0.5}, "alpha=0.5 is too large: it must be below 0.5."),
    ({"min_replicates": 1}, "min_replicates=1: give a whole number of at least 2."),
    ({"replicates": 3, "min_replicates": 3}, "min_replicates=3 of 3 leaves nothing to save."),
    ({"replicates": 2}, "min_replicates=2 of 2 leaves nothing to save."),
    ({"replicates": 4, "test": "wilcoxon"}, "with 4 replicates the signed-rank test can stop nothing"),
    ({"metric": "a"}, "metric='a' without a mode."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        RacingScheduler(**arguments)

    assert message in str(caught.value)
