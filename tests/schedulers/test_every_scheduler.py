"""Every scheduler in random experiments: each ends, none is stuck, no trial has two attempts at once, budgets hold.

One line per scheduler: a new one is a new line. `check_scheduler` says what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tunesmith.core.events import Reported
from tunesmith.core.policy import Scheduler
from tunesmith.schedulers import (
    PB2,
    ASHAScheduler,
    DistributeResourcesToTopJob,
    FIFOScheduler,
    HyperBandForBOHB,
    HyperBandScheduler,
    MedianStoppingRule,
    MultiFrequencyPBT,
    MultiObjectiveASHA,
    PatienceRule,
    PercentileRule,
    PopulationBasedTraining,
    PopulationBasedTrainingReplay,
    ResourceChangingScheduler,
    ThresholdRule,
)
from tunesmith.schedulers.asha_promotion import PromotionASHAScheduler
from tunesmith.schedulers.named import _NAMED
from tunesmith.schedulers.pasha import PASHAScheduler
from tunesmith.schedulers.racing import RacingScheduler
from tunesmith.schedulers.top_k import TopKScheduler
from tunesmith.space.domains import choice, uniform
from tunesmith.testing import check_scheduler

MUTATIONS = {"x": uniform(0.0, 1.0), "y": choice([1, 2, 3])}
POPULATION: dict[str, Any] = {
    "time_attr": "training_iteration",
    "perturbation_interval": 2,
    "require_attrs": False,  # some results lack the metric
}
SELDOM = {**POPULATION, "perturbation_interval": 4}


@dataclass(frozen=True)
class Case:
    make: Callable[[], Scheduler]
    most: float = float("inf")
    """No trial ever has more results."""
    options: dict[str, Any] = field(default_factory=dict)
    is_costly: bool = False


CASES: dict[str, Case] = {
    "fifo": Case(FIFOScheduler),
    "asha": Case(lambda: ASHAScheduler(max_t=9, reduction_factor=3), most=9),
    "asha, brackets": Case(lambda: ASHAScheduler(max_t=9, reduction_factor=2, brackets=3), most=9),
    "asha, learned": Case(lambda: ASHAScheduler(max_t=None, grace_period=None, reduction_factor=2)),
    "asha, steps": Case(lambda: ASHAScheduler(time_attr="steps", max_t=20, reduction_factor=3)),
    "asha, promotion": Case(lambda: PromotionASHAScheduler(max_t=9, reduction_factor=3), most=9),
    "asha, promotion, brackets": Case(lambda: PromotionASHAScheduler(max_t=9, reduction_factor=2, brackets=2), most=9),
    "asha, promotion, learned": Case(lambda: PromotionASHAScheduler(max_t=None, grace_period=None)),
    "hyperband": Case(lambda: HyperBandScheduler(max_t=9, reduction_factor=3), most=9),
    "hyperband for bohb": Case(lambda: HyperBandForBOHB(max_t=9, reduction_factor=3), most=9),
    "hyperband, seconds": Case(lambda: HyperBandScheduler(time_attr="time_total_s", max_t=9)),
    "pasha": Case(lambda: PASHAScheduler(max_t=9, reduction_factor=3), most=9),
    "top k": Case(lambda: TopKScheduler(k=3, first_rung=2)),
    "median": Case(
        lambda: MedianStoppingRule(time_attr="training_iteration", grace_period=2, min_samples_required=2)
    ),
    "median, soft": Case(
        lambda: MedianStoppingRule(
            time_attr="training_iteration", grace_period=2, min_samples_required=2, hard_stop=False
        )
    ),
    "percentile": Case(lambda: PercentileRule(50.0, min_samples_required=2)),
    "percentile, soft": Case(lambda: PercentileRule(50.0, min_samples_required=2, hard_stop=False)),
    "patience": Case(lambda: PatienceRule(2)),
    "threshold": Case(lambda: ThresholdRule(upper={2: 5.0, 4: 3.0})),
    "pbt": Case(lambda: PopulationBasedTraining(hyperparam_mutations=MUTATIONS, **POPULATION)),
    "pbt, synch": Case(lambda: PopulationBasedTraining(hyperparam_mutations=MUTATIONS, synch=True, **POPULATION)),
    "mf-pbt": Case(lambda: MultiFrequencyPBT(hyperparam_mutations=MUTATIONS, frequencies=(1, 2), **POPULATION)),
    "pb2": Case(lambda: PB2(hyperparam_bounds={"x": [0.0, 1.0]}, **SELDOM), is_costly=True),
    "pb2, synch": Case(lambda: PB2(hyperparam_bounds={"x": [0.0, 1.0]}, synch=True, **SELDOM), is_costly=True),
    "pbt replay": Case(
        lambda: PopulationBasedTrainingReplay([(0, {"x": 0.1}), (2, {"x": 0.2}), (4, {"x": 0.3})]),
        options={"trials": 1, "fewest": 1},
    ),
    "multi-objective asha": Case(
        lambda: MultiObjectiveASHA(metric=["error", "latency"], mode=["min", "max"], max_t=9), most=9,
        options={"objectives": [("error", "min"), ("latency", "max")]},
    ),
    "racing": Case(lambda: RacingScheduler(4, alpha=0.3, min_replicates=2)),
    "resource changing": Case(lambda: ResourceChangingScheduler(interval=2)),
    "resource changing, asha": Case(
        lambda: ResourceChangingScheduler(
            ASHAScheduler(max_t=9, reduction_factor=3), DistributeResourcesToTopJob(), interval=2
        ),
        most=9,
    ),
    "resource changing, hyperband": Case(
        lambda: ResourceChangingScheduler(HyperBandScheduler(max_t=9, reduction_factor=3), interval=1), most=9
    ),
    "resource changing, pbt": Case(
        lambda: ResourceChangingScheduler(
            PopulationBasedTraining(hyperparam_mutations=MUTATIONS, **POPULATION), interval=1
        )
    ),
}  # fmt: skip


def a_config(draw):
    return {"x": draw.random(), "y": draw.choice([1, 2, 3])}


def check(case: Case, **options: Any) -> None:
    def examine(experiment, events):
        spent = [event.number for event in events if isinstance(event, Reported)]
        assert max(spent, default=0) <= case.most, f"a trial had {max(spent)} results of at most {case.most}"

    check_scheduler(case.make, draw_config=a_config, examine=examine, **{**options, **case.options})


def test_every_scheduler_has_its_line():
    known = {type(case.make()) for case in CASES.values()}

    assert set(_NAMED.values()) <= known


@pytest.mark.parametrize("name", CASES)
def test_small_experiments_in_which_everything_goes_wrong(name):
    check(CASES[name], runs=1 if CASES[name].is_costly else 3, seed=1000, trials=8, longest=12)


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("saves", [False, True], ids=["functions", "classes"])
@pytest.mark.parametrize("size", [15, pytest.param(100, marks=pytest.mark.heavy)])
@pytest.mark.parametrize("name", CASES)
def test_functions_and_classes_on_few_and_many_workers(name, size, saves, workers):
    check(
        CASES[name],
        runs=1,
        seed=workers,
        fewest=size,
        trials=size + size // 5,
        longest=9,
        saves=saves,
        workers=[workers],
        restarts=1 if workers == 2 else 0,
    )
