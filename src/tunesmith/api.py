"""The front door: `run`, `resume` and `load`. Only names, defaults and checks live here.

What an experiment does is decided in `core`; how a session is put together is written in `session`.
"""

from __future__ import annotations

import difflib
import inspect
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from . import invocation
from .analysis.results import Results
from .callbacks.base import Callback
from .callbacks.console import console
from .callbacks.files import TrialFiles
from .core.engine import Limits
from .core.objective import Objective
from .core.policy import Scheduler, Searcher
from .core.resources import checked_request
from .core.seeds import derived_seed
from .errors import ConfigError, ExperimentExists, ExperimentNotFound, TrialsFailed
from .executors.base import Executor
from .layout import JOURNAL
from .schedulers.named import scheduler_named
from .schedulers.fifo import FIFOScheduler
from .searchers.variants import BasicVariantGenerator
from .session import Plan, drive
from .space.space import Space
from .stoppers import as_stopper
from .trainables import Bound, Resources, name_of, resolved

DEFAULT_STORAGE = "results"
RAY_NAMES = {
    "config": "space",
    "param_space": "space",
    "search_alg": "searcher",
    "resources_per_trial": "resources",
    "trial_resources": "resources",
    "reuse_actors": "reuse_workers",
    "local_dir": "storage_path",
}
"""What Ray Tune's scripts call the same arguments."""

_NAME = re.compile(r"[^/\\\0\x01-\x1f]{1,200}")


def run(
    trainable: Any,
    *,
    space: Mapping[str, Any] | None = None,
    metric: str | None = None,
    mode: str | None = None,
    num_samples: int = 1,
    scheduler: Scheduler | str | None = None,
    searcher: Searcher | BasicVariantGenerator | str | None = None,
    stop: Any = None,
    resources: Resources | None = None,
    time_budget_s: float | timedelta | None = None,
    trial_time_limit_s: float | None = None,
    report_timeout_s: float | None = None,
    grace_s: float = 5.0,
    max_failures: int = 0,
    fail_fast: bool | str = "auto",
    nan: str = "worst",
    max_concurrent_trials: int | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    reuse_workers: bool = False,
    executor: Executor | str = "local",
    name: str | None = None,
    storage_path: str | os.PathLike[str] = DEFAULT_STORAGE,
    resume: bool | str = False,
    retry_failed: bool = False,
    raise_on_failed_trial: bool = False,
    seed: int | None = None,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    checkpoint_freq: int = 0,
    checkpoint_at_end: bool = False,
    callbacks: Sequence[Callback] = (),
    verbose: bool | int = 1,
    **ray_names: Any,
) -> Results:
    """Tune: run many trials of `trainable` at once, stop the bad ones early, and return what was learned.

    Args:
        trainable: A function of (config) or (config, reporter), a `Trainable` class, a registered name, or
            "module:function".
        space: What to try: constants, domains (`tune.uniform(...)`), grids, nested as you like.
        metric: The reported metric to optimise. Needed by most schedulers and for `results.best`.
        mode: "min" or "max"; needed with `metric`.
        num_samples: How many trials; with a grid, how many times the grid. -1 goes on until something stops it.
        scheduler: Stops bad trials early: an object such as `tune.ASHAScheduler()`, or "asha", "median", "fifo".
        searcher: Proposes configs; the default draws from the space and walks its grids.
        stop: When a trial has had enough: `{"accuracy": 0.99}` (at or above), a function of (trial_id, result), a
            `Stopper`, or a list of these.
        resources: What a trial needs, `{"cpu": 2, "gpu": 0.5}`, or a function from its config to that. Default: 1 CPU.
        time_budget_s: Seconds for the whole experiment, all sessions together.
        trial_time_limit_s: Seconds for one trial; then it is killed and counts as failed.
        report_timeout_s: Seconds without a report after which a trial is taken for hung and killed.
        grace_s: Seconds that a trial may take to end when it is asked to, before it is killed.
        max_failures: Retries of a failed trial from its last checkpoint; -1 without end.
        fail_fast: "auto" ends the run when the first trials all fail alike; True at the first failure; False never.
        nan: "worst" ranks a nan objective worst; "fail" fails the trial.
        max_concurrent_trials: At most so many at once, whatever the resources allow.
        cpus: How many CPUs to count on; default: those this process may use.
        gpus: How many GPUs to count on; default: those this process sees.
        reuse_workers: Run trials one after another in the same processes, instead of a fresh process for each.
        executor: "local" (processes on this machine), "inline" (in this process, for debuggers), or an `Executor`.
        name: The experiment's name and folder; default: the trainable's name and the time.
        storage_path: The folder of all experiments.
        resume: False: a new experiment. "auto": go on with it if it exists. True: it must exist.
        retry_failed: At a resume, try the failed trials again.
        raise_on_failed_trial: Raise `TrialsFailed` at the end if a trial failed.
        seed: Makes the experiment reproducible: the same configs in the same trials.
        points_to_evaluate: Configs to try first; each may leave parameters out, which are then drawn.
        checkpoint_freq: For class trainables: save after each so many steps; 0 never.
        checkpoint_at_end: For class trainables: save at the end.
        callbacks: `Callback`s that watch the experiment.
        verbose: 0 is silent, 1 shows the display.
        **ray_names: Ray Tune's names for these arguments, e.g. `config` for `space`.

    Raises:
        ConfigError, SpaceError, ResourceError: An argument makes no sense; nothing has run.
        ExperimentExists: The folder holds an experiment, and `resume` is False.
        JournalDamaged, JournalLocked: The experiment cannot be gone on with; the message says what to do.
        TrialsFailed: With `raise_on_failed_trial`.
    """
    if ray_names:
        given = {key: value for key, value in locals().items() if key not in ("ray_names", "trainable")}
        return run(trainable, **renamed(ray_names, given))
    bound = resolved(trainable)
    chosen_scheduler = _scheduler(scheduler)
    objective = _objective(metric, mode, chosen_scheduler)
    request, request_of = _request(bound, resources)
    compiled = Space(space if space is not None else {})
    folder, is_new = _folder(name, storage_path, resume, bound)
    plan = Plan(
        folder=folder,
        is_new=is_new,
        bound=bound,
        space=compiled,
        objective=objective,
        searcher_for=_searcher(searcher, compiled, _sample_count(num_samples), points_to_evaluate),
        scheduler=chosen_scheduler,
        stopper=as_stopper(stop),
        limits=Limits(
            max_failures=_checked("max_failures", max_failures, at_least=-1, whole=True) or 0,
            max_concurrent=_checked("max_concurrent_trials", max_concurrent_trials, at_least=1, whole=True)
            or getattr(searcher, "max_concurrent", None)
            or None,
            time_budget=_checked("time_budget_s", _seconds(time_budget_s), above=0),
            trial_time=_checked("trial_time_limit_s", trial_time_limit_s, above=0),
            report_timeout=_checked("report_timeout_s", report_timeout_s, above=0),
            grace=_checked("grace_s", grace_s, at_least=0) or 0.0,
            fail_fast=_one_of("fail_fast", fail_fast, (True, False, "auto")),
            nan_fails=_one_of("nan", nan, ("worst", "fail")) == "fail",
        ),
        executor=_executor(executor, cpus, gpus),
        callbacks=[TrialFiles(), *console(int(verbose)), *callbacks],
        seed=derived_seed(int.from_bytes(os.urandom(8), "little"), "seed", bits=32) if seed is None else _seed(seed),
        request=request,
        request_of=None if request_of is None else lambda config: request_of(compiled.resolve(config)),
        retry_failed=retry_failed or (isinstance(resume, str) and "ERRORED" in resume.upper()),
        worker_options={
            "reuse_workers": reuse_workers,
            "checkpoint_freq": _checked("checkpoint_freq", checkpoint_freq, at_least=0, whole=True),
            "checkpoint_at_end": checkpoint_at_end,
        },
    )
    drive(plan)
    results = Results(folder, resolve=compiled.resolve)
    if raise_on_failed_trial and results.num_errors:
        first = results.errors[0]
        raise TrialsFailed(
            f"{results.num_errors} of {len(results)} trials failed. "
            f"The first, trial {first.id}: {first.error.message if first.error else 'unknown'}. See {first.folder}."
        )
    return results


def load(folder: str | os.PathLike[str]) -> Results:
    """Return the results in an experiment's folder: from any process, while it runs or after.

    Raises:
        ExperimentNotFound: There is no experiment in that folder.
    """
    path = Path(folder)
    if not (path / JOURNAL).exists():
        here = sorted(child.parent.name for child in path.glob(f"*/{JOURNAL}"))
        hint = f" It holds experiments, though: {', '.join(here[:10])}." if here else ""
        raise ExperimentNotFound(f"there is no experiment in {path} (no {JOURNAL}).{hint}")
    return Results(path)


def resume(folder: str | os.PathLike[str]) -> None:
    """Run the command that started an experiment again, in this process, so that it goes on where it stopped.

    Raises:
        ExperimentNotFound: There is no experiment in that folder.
        ConfigError: The command is not known or cannot be run again; the message says what to do.
    """
    path = load(folder).folder
    invocation.rerun(path.resolve())


def renamed(ray_names: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `run` with Ray Tune's names for them replaced by ours.

    Raises:
        ConfigError: A name that neither has, or the same argument given under both names.
    """
    defaults = {key: parameter.default for key, parameter in inspect.signature(run).parameters.items()}
    arguments = dict(given)
    for key, value in ray_names.items():
        ours = RAY_NAMES.get(key)
        if ours is None:
            known = [*defaults, *RAY_NAMES]
            near = difflib.get_close_matches(key, known, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(f"run() has no argument {key!r}.{hint}")
        if arguments.get(ours, defaults[ours]) is not defaults[ours]:
            raise ConfigError(f"{key}= is another name for {ours}=; give one of them.")
        arguments[ours] = value
    return arguments


def _objective(metric: str | None, mode: str | None, scheduler: Scheduler) -> Objective | None:
    own: Objective | None = getattr(scheduler, "objective", None)
    if metric is None:
        if mode is not None and own is None:
            raise ConfigError(f"mode={mode!r} without a metric. Say which: metric='accuracy'.")
        return own
    if mode is None:
        if own is not None and own.metric == metric:
            return own
        raise ConfigError(f"metric={metric!r}: is lower or higher better? Add mode='min' or mode='max'.")
    return Objective(metric, mode)


def _scheduler(scheduler: Scheduler | str | None) -> Scheduler:
    match scheduler:
        case None:
            return FIFOScheduler()
        case str():
            return scheduler_named(scheduler)
        case Scheduler():
            return scheduler
    raise ConfigError(f"scheduler={scheduler!r}: give a tune.Scheduler such as tune.ASHAScheduler(), or its name.")


def _searcher(
    searcher: Searcher | BasicVariantGenerator | str | None,
    space: Space,
    num_samples: int,
    points: Sequence[Mapping[str, Any]] | None,
) -> Callable[[int], tuple[Searcher, int | None]]:
    if searcher is None or searcher in ("random", "variants", "variant_generator"):
        searcher = BasicVariantGenerator(points_to_evaluate=points)
    elif points is not None:
        raise ConfigError("points_to_evaluate= goes to the searcher when you choose one yourself.")
    if isinstance(searcher, BasicVariantGenerator):
        settings = searcher

        def variants(seed: int) -> tuple[Searcher, int | None]:
            bound = settings.searcher(space, num_samples=num_samples, seed=seed)
            return bound, bound.total

        variants(0)  # Points and grids are checked now, before anything is written.
        return variants
    if not isinstance(searcher, Searcher):
        raise ConfigError(f"searcher={searcher!r}: give a tune.Searcher, or 'random'.")
    given = searcher
    return lambda seed: (given, None if num_samples < 0 else num_samples)


def _request(
    bound: Bound, resources: Resources | None
) -> tuple[dict[str, float], Callable[[dict[str, Any]], dict[str, float]] | None]:
    chosen = resources if resources is not None else bound.resources
    if chosen is None:
        chosen = getattr(bound.trainable, "default_resource_request", None)
    if chosen is None:
        return {"cpu": 1.0}, None
    if isinstance(chosen, Mapping):
        return checked_request(chosen), None
    if not callable(chosen):
        raise ConfigError(f"resources={chosen!r}: give a dict such as {{'cpu': 2, 'gpu': 0.5}}, or a function of it.")
    function = chosen

    def request_of(config: dict[str, Any]) -> dict[str, float]:
        asked = function(config)
        if not isinstance(asked, Mapping):
            raise ConfigError(
                f"resources= returned {asked!r} for {config}; it must return a dict such as {{'cpu': 2}}."
            )
        return checked_request(asked)

    return {"cpu": 1.0}, request_of


def _executor(executor: Executor | str, cpus: float | None, gpus: float | None) -> Executor:
    match executor:
        case Executor():
            return executor
        case "local":
            from .executors.local import LocalExecutor

            return LocalExecutor(cpus=_checked("cpus", cpus, above=0), gpus=_checked("gpus", gpus, at_least=0))
        case "inline":
            from .executors.inline import InlineExecutor

            return InlineExecutor()
    raise ConfigError(f"executor={executor!r}: give 'local', 'inline' or an Executor.")


def _folder(
    name: str | None, storage_path: str | os.PathLike[str], resume: bool | str, bound: Bound
) -> tuple[Path, bool]:
    """Return the experiment's folder and whether it is a new one."""
    words = str(resume).upper().split("+")
    if not isinstance(resume, bool | str) or words[0] not in ("TRUE", "FALSE", "AUTO"):
        raise ConfigError(f"resume={resume!r}: give False, True or 'auto'.")
    again = invocation.resumed_folder()
    storage = Path(storage_path).expanduser()
    if again is not None and name in (None, again.name):
        return again, False
    if name is None:
        if words[0] == "TRUE":
            raise ConfigError("resume=True: which experiment? Give its name=.")
        now = datetime.now().astimezone()
        name = f"{name_of(bound.trainable)}_{now:%Y-%m-%d_%H-%M-%S}"
        number = 1
        while (storage / name).exists():
            number += 1
            name = f"{name_of(bound.trainable)}_{now:%Y-%m-%d_%H-%M-%S}_{number}"
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name.strip(". ") != name:
        raise ConfigError(f"name={name!r}: it becomes a folder; give a short name without slashes.")
    folder = storage / name
    exists = (folder / JOURNAL).exists()
    if exists and words[0] == "FALSE":
        raise ExperimentExists(
            f"{folder} already holds an experiment. Go on with it: resume='auto'. A new one: another name=."
        )
    if not exists and words[0] == "TRUE":
        raise ExperimentNotFound(f"resume=True, but there is no experiment in {folder}. Start one: resume='auto'.")
    return folder, not exists


def _sample_count(num_samples: int) -> int:
    if isinstance(num_samples, bool) or not isinstance(num_samples, int) or num_samples == 0 or num_samples < -1:
        raise ConfigError(f"num_samples={num_samples!r}: give a whole number from 1, or -1 for no end.")
    return num_samples


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ConfigError(f"seed={seed!r}: give a whole number.")
    return seed


def _seconds(time: float | timedelta | None) -> float | None:
    return time.total_seconds() if isinstance(time, timedelta) else time


def _checked(
    name: str, value: Any, *, at_least: float | None = None, above: float | None = None, whole: bool = False
) -> Any:
    """Return a number that was checked; None stays None."""
    if value is None:
        return None
    kind = "a whole number" if whole else "a number"
    bound = f"of at least {at_least:g}" if at_least is not None else f"above {above:g}"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or value != value:
        raise ConfigError(f"{name}={value!r}: give {kind} {bound}.")
    if (at_least is not None and value < at_least) or (above is not None and value <= above):
        raise ConfigError(f"{name}={value!r}: give {kind} {bound}.")
    return value


def _one_of(name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise ConfigError(f"{name}={value!r}: give one of {', '.join(map(repr, allowed))}.")
    return value
