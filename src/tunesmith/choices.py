"""What the arguments of `run`, `simulate` and `Optimizer` stand for: a name is made an object, and what does not go
together is refused. All raise `ConfigError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import arguments
from .core.bundles import Request, checked_request, is_request
from .core.objective import Objective
from .core.policy import Scheduler, Searcher, unused
from .core.replicates import KEY
from .earlier.sources import as_sources
from .errors import ConfigError
from .executors.base import Executor
from .executors.named import executor_of
from .schedulers.fifo import FIFOScheduler
from .schedulers.named import scheduler_named
from .schedulers.racing import RacingScheduler
from .searchers.auto import AutoSearcher
from .searchers.lagged import WINDOW
from .searchers.named import searcher_named
from .searchers.settings import SearcherSettings
from .searchers.variants import BasicVariantGenerator
from .space.encoding import Encoding
from .space.space import Space
from .trainables import Bound, Resources


def objectives_of(
    metric: str | Sequence[str] | None, mode: str | Sequence[str] | None, scheduler: Scheduler
) -> tuple[Objective, ...]:
    """Return what is optimised: as given, or else by what the scheduler goes by."""
    if metric is None or isinstance(metric, str):
        if mode is not None and not isinstance(mode, str):
            if metric is None:
                raise ConfigError(f"mode={mode!r} without metrics. Say which: metric=['error', 'latency'].")
            raise ConfigError(f"metric={metric!r} is one metric and mode={mode!r} is several. Give one of each.")
        several: tuple[Objective, ...] | None = getattr(scheduler, "objectives", None)
        if metric is None and several:
            return several
        only = _objective(metric, mode, scheduler)
        return () if only is None else (only,)
    if not isinstance(metric, Sequence) or not metric:
        raise ConfigError(f"metric={metric!r}: give the name of a reported metric, or a list of names.")
    if mode is None:
        raise ConfigError(f"metric={metric!r}: is lower or higher better? Add mode='min', or one for each metric.")
    modes = [mode] * len(metric) if isinstance(mode, str) else list(mode)
    if len(modes) != len(metric):
        counts = f"{len(metric)} metrics and {len(modes)} modes"
        raise ConfigError(f"{counts}: give one mode for each metric, or one for all.")
    if len(set(map(repr, metric))) < len(metric):
        raise ConfigError(f"metric={metric!r} names a metric twice.")
    return tuple(Objective(*pair) for pair in zip(metric, modes, strict=True))


def _objective(metric: str | None, mode: str | None, scheduler: Scheduler) -> Objective | None:
    own: Objective | None = getattr(scheduler, "objective", None)
    if metric is None:
        if mode is not None and own is None:
            raise ConfigError(f"mode={mode!r} without a metric. Say which: metric='accuracy'.")
        if own is None and _lacks_objective(scheduler):
            raise ConfigError(
                f"{type(scheduler).__name__} has nothing to rank trials by. Add metric= and mode= to the run."
            )
        return own
    if mode is None:
        if own is not None and own.metric == metric:
            return own
        raise ConfigError(f"metric={metric!r}: is lower or higher better? Add mode='min' or mode='max'.")
    return Objective(metric, mode)


def _lacks_objective(scheduler: Scheduler) -> bool:
    """Whether it ranks or watches by what the run optimises, having nothing of its own to go by."""
    takes_one = any(hasattr(scheduler, name) for name in ("objective", "objectives"))
    return takes_one and not any(getattr(scheduler, name, None) for name in ("objective", "objectives", "metric"))


def replicate_count(replicates: int, space: Space, scheduler: Scheduler) -> int:
    """Return how often each config is tried."""
    count = arguments.whole_number("replicates", replicates, at_least=1)
    if count == 1 and isinstance(scheduler, RacingScheduler):
        raise ConfigError("RacingScheduler: there is nothing to race over. Add replicates=5, say, to the run.")
    if count > 1 and KEY in space.root.children:
        raise ConfigError(
            f"the space has a parameter {KEY!r}. With replicates={count} that is where a trial finds the index of its "
            "replicate; give the parameter another name."
        )
    return count


def scheduler_of(scheduler: Scheduler | str | None) -> Scheduler:
    """Return the scheduler of that name, or the one given."""
    match scheduler:
        case None:
            return FIFOScheduler()
        case str():
            return scheduler_named(scheduler)
        case Scheduler():
            return scheduler
    raise ConfigError(f"scheduler={scheduler!r}: give a tune.Scheduler such as tune.ASHAScheduler(), or its name.")


def window_of(deterministic: bool | int, scheduler: Scheduler) -> int | None:
    """Return how far back a suggestion's newest outcome lies; None: it is whatever is known."""
    if deterministic is False:
        return None
    window = WINDOW if deterministic is True else arguments.whole_number("deterministic", deterministic, at_least=1)
    who = type(scheduler).__name__
    if scheduler.compares_trials:
        raise ConfigError(
            f"deterministic={deterministic!r}: {who} goes by other trials or by who comes first, so which trials it "
            "stops depends on the number of workers. Use FIFOScheduler, ThresholdRule or PatienceRule, or a scheduler "
            "of your own that looks at nothing but its trial and says so: compares_trials = False."
        )
    if scheduler.time_attr == "time_total_s":
        raise ConfigError(f"deterministic={deterministic!r}: {who} goes by the clock. Give it another time_attr=.")
    return window


def searcher_of(
    searcher: Searcher | SearcherSettings | str | None,
    space: Space,
    num_samples: int,
    points: Sequence[Mapping[str, Any]] | None,
    *,
    objectives: Sequence[Objective] | None = None,
    duplicates: str = "skip",
) -> Callable[[int], tuple[Searcher, int | None]]:
    """Return what makes the searcher, and the number of trials that it goes for, from a seed."""
    if isinstance(points, Mapping | str):
        raise ConfigError(f"points_to_evaluate={points!r}: give a list of dicts, each a part of a config.")
    if searcher is None:
        chosen = AutoSearcher if objectives and _can_be_learned(space) else BasicVariantGenerator
        searcher = chosen(points_to_evaluate=points, duplicates=duplicates)
    elif isinstance(searcher, str):
        searcher = searcher_named(searcher, points, duplicates)
    elif points is not None or duplicates != "skip":
        word = "duplicates=" if points is None else "points_to_evaluate="
        raise ConfigError(f"{word} goes to the searcher when you choose one yourself.")
    if isinstance(searcher, SearcherSettings):
        settings = searcher
        if objectives is not None:
            settings.check(objectives[0] if objectives else None)

        def bound_to(seed: int) -> tuple[Searcher, int | None]:
            bound = settings.bound_to(space, num_samples, seed)
            return bound, settings.trials_wanted(bound, num_samples)

        return bound_to
    if not isinstance(searcher, Searcher):
        raise ConfigError(f"searcher={searcher!r}: give a tune.Searcher such as tune.BOHBSearcher(), or its name.")
    own = unused(searcher)
    return lambda seed: (own, None if num_samples < 0 else num_samples)


def _can_be_learned(space: Space) -> bool:
    """Whether there is a config to choose: more than constants, and no grid, which is gone through."""
    return space.root.points == 1 and Encoding(space).width > 0


def sources_of(warm_from: Any, searcher: Searcher) -> list[Any]:
    """Return the earlier experiments that the searcher is to begin with."""
    sources = as_sources(warm_from)
    if sources and searcher.ignores_earlier_trials:
        raise ConfigError(
            f"warm_from= is for a searcher that learns, and {type(searcher).__name__} does not use it. "
            "Give searcher='auto', say."
        )
    return sources


def request_of(
    bound: Bound, resources: Resources | None, space: Space, *, is_bounded: bool
) -> tuple[dict[str, float], Callable[[dict[str, Any]], dict[str, float]] | None]:
    """Return what each trial asks for, and a function of a journaled config where that differs from trial to trial."""
    chosen = resources if resources is not None else bound.resources
    if chosen is None:
        chosen = getattr(bound.trainable, "default_resource_request", None)

    def checked(asked: Request) -> dict[str, float]:
        request = checked_request(asked)
        if not request and not is_bounded:
            raise ConfigError(
                f"resources={asked!r} asks for nothing, so that all trials would start at once. "
                "Add max_concurrent_trials=, or ask for a part of a CPU."
            )
        return request

    if chosen is None:
        return {"cpu": 1.0}, None
    if is_request(chosen):
        return checked(chosen), None
    if not callable(chosen):
        raise ConfigError(
            f"resources={chosen!r}: give a dict such as {{'cpu': 2, 'gpu': 0.5}}, a list of them, or a function."
        )
    function = chosen

    def of_config(journaled: dict[str, Any]) -> dict[str, float]:
        config = space.resolve(journaled)
        try:
            asked = function(config)
        except Exception as error:
            raise ConfigError(f"resources= failed for {config}: {type(error).__name__}: {error}") from error
        if not is_request(asked):
            raise ConfigError(
                f"resources= returned {asked!r} for {config}; it must return a dict such as "
                "{'cpu': 2}, or a list of such dicts."
            )
        return checked(asked)

    return {"cpu": 1.0}, of_config


def most_at_once(asked: int | None, searcher: object, executor: Executor) -> int | None:
    """Return how many trials may run at once, whatever the resources allow; None is no bound."""
    bounds = [executor.most_at_once, getattr(searcher, "max_concurrent", None) or None]
    if asked is not None:
        bounds.append(arguments.whole_number("max_concurrent_trials", asked, at_least=1))
    return min((bound for bound in bounds if bound is not None), default=None)


def executor_on(executor: Executor | str | None, cpus: float | None, gpus: int | Sequence[str] | None) -> Executor:
    """Return the executor, with so much of this machine."""
    if cpus is not None:
        cpus = arguments.number("cpus", cpus, above=0)
    if isinstance(gpus, str) or (gpus is not None and not isinstance(gpus, Sequence)):
        gpus = arguments.whole_number("gpus", gpus, at_least=0, none=", or the GPUs' names as a list")
    return executor_of(executor, cpus, gpus)


def holds_paused(pause: str, executor: Executor) -> bool:
    """Return whether the processes of paused trials stand still instead of ending."""
    holds: bool = arguments.one_of("pause", pause, ("end", "hold")) == "hold"
    if holds and not executor.can_hold:
        raise ConfigError(
            f"pause='hold' keeps the processes of paused trials, and {type(executor).__name__} cannot: its trials have "
            "none of their own, or none that could stand still while others have their resources. Leave it out, or use "
            "executor='local'."
        )
    return holds


def resume_words(resume: bool | str) -> tuple[str, bool]:
    """Return TRUE, FALSE or AUTO, and whether failed trials are to be tried again ("AUTO+ERRORED")."""
    word, _, more = str(resume).upper().partition("+")
    if not isinstance(resume, bool | str) or word not in ("TRUE", "FALSE", "AUTO") or more not in ("", "ERRORED"):
        raise ConfigError(f"resume={resume!r}: give False, True or 'auto'; with retry_failed=True for failed trials.")
    return word, bool(more)
