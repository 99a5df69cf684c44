"""The front door: `run`, `resume` and `load`. Only names and defaults live here.

What the arguments stand for is in `choices`, what an experiment does is decided in `core`, and how a session is put
together is written in `session`.
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from . import arguments, choices, invocation
from .analysis.results import Results
from .callbacks.base import Callback
from .callbacks.console import console
from .callbacks.files import TrialFiles
from .callbacks.lost_checkpoints import LostCheckpoints
from .callbacks.missing_metric import MissingMetric
from .callbacks.restarts import Restarts
from .callbacks.upload import Upload
from .core.engine import Limits
from .core.policy import Scheduler, Searcher, unused
from .errors import ConfigError, TrialsFailed
from .executors.base import Executor
from .places import DEFAULT_STORAGE, found, place_for
from .searchers.lagged import in_step
from .searchers.replicated import replicated
from .searchers.settings import SearcherSettings, searched_space
from .searchers.variants import VariantGenerator
from .session import Plan, drive
from .space.space import Space
from .stoppers import as_stopper
from .trainables import Resources, check_trainable, name_of, resolved
from .worker.foreign import is_algorithm_config, settings_of

RAY_NAMES = {
    "config": "space",
    "param_space": "space",
    "search_alg": "searcher",
    "resources_per_trial": "resources",
    "trial_resources": "resources",
    "reuse_actors": "reuse_workers",
    "local_dir": "storage_path",
    "keep_checkpoints_num": "num_to_keep",
}
"""What Ray Tune's scripts call the same arguments."""


def run(
    trainable: Any,
    *,
    space: Mapping[str, Any] | Space | None = None,
    metric: str | Sequence[str] | None = None,
    mode: str | Sequence[str] | None = None,
    num_samples: int = 1,
    replicates: int = 1,
    deterministic: bool | int = False,
    scheduler: Scheduler | str | None = None,
    searcher: Searcher | SearcherSettings | str | None = None,
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
    gpus: int | Sequence[str] | None = None,
    reuse_workers: bool = False,
    executor: Executor | str | None = None,
    name: str | None = None,
    storage_path: str | os.PathLike[str] = DEFAULT_STORAGE,
    resume: bool | str = False,
    retry_failed: bool = False,
    raise_on_failed_trial: bool = False,
    seed: int | None = None,
    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
    duplicates: str = "skip",
    warm_from: Any = None,
    checkpoint_freq: int = 0,
    checkpoint_at_end: bool = False,
    num_to_keep: int | None = None,
    checkpoint_score_attr: str | None = None,
    checkpoint_score_order: str | None = None,
    max_checkpoint_bytes: int | str | None = None,
    pause: str = "end",
    callbacks: Sequence[Callback] = (),
    verbose: bool | int = 1,
    **ray_names: Any,
) -> Results:
    """Tune: run many trials of `trainable` at once, stop the bad ones early, and return what was learned.

    Args:
        trainable: A function of (config) or (config, reporter), a `Trainable` class, a registered name, or
            "module:function".
        space: What to try: constants, domains (`tune.uniform(...)`), grids, nested as you like; or a `tune.Space`.
        metric: The reported metric to optimise. Needed by most schedulers and for `results.best`. With a list of them
            there is no single best, but `results.pareto_front()`.
        mode: "min" or "max"; needed with `metric`. One for each metric, or one for all.
        num_samples: How many trials; with a grid, how many times the grid. -1 goes on until something stops it.
        replicates: Try each config so many times, with `config["replicate"]` = 0, 1, ...: once per fold or seed. Then
            `results.best_group` is the config with the best mean. `tune.RacingScheduler()` saves some of them.
        deterministic: Make the same trials whatever the number of workers and whoever is first: the searcher learns of
            outcomes in the order of the trials' numbers, and suggestion n is made from those of trials up to n - 8.
            So at most 8 run at once; `deterministic=16` lets 16. For schedulers that judge each trial by itself.
        scheduler: Stops bad trials early: an object such as `tune.ASHAScheduler()`, or "asha", "median", "fifo".
        searcher: Proposes configs: an object such as `tune.TPESearcher()`, or "auto", "tpe", "gp", "random" ... By
            default "auto" where there is a metric to learn from; without one, and where the space has a grid, configs
            are drawn and grids gone through.
        stop: When a trial has had enough: `{"accuracy": 0.99}` (at or above), a function of (trial_id, result), a
            `Stopper`, or a list of these.
        resources: What a trial needs, `{"cpu": 2, "gpu": 0.5}`; a list of such dicts, or `Bundles`, for one that is
            itself parallel; or a function from its config to any of these. Default: 1 CPU.
        time_budget_s: Seconds for the whole experiment, all sessions together.
        trial_time_limit_s: Seconds for one trial; then it is killed and counts as failed.
        report_timeout_s: Seconds without a report after which a trial is taken for hung and killed.
        grace_s: Seconds that a trial may take to end when it is asked to, before it is killed.
        max_failures: Retries of a failed trial from its last checkpoint; -1 without end.
        fail_fast: "auto" ends the run when the first trials all fail alike; True at the first failure; False never.
        nan: "worst" ranks a nan objective worst; "fail" fails the trial.
        max_concurrent_trials: At most so many at once, whatever the resources allow.
        cpus: How many CPUs to count on; default: those this process may use.
        gpus: How many of the GPUs that this process sees to use, or which; default: all.
        reuse_workers: Run trials one after another in the same processes, instead of a fresh process for each.
        executor: Where trials run: "local" (processes on this machine), "inline" (in this process, for debuggers),
            "ray", "dask", "slurm:jobs=8,cpus_per_job=4", or an `Executor`. Default: what the environment variable
            TUNESMITH_EXECUTOR says, or "local".
        name: The experiment's name and folder; default: the trainable's name and the time.
        storage_path: The folder of all experiments, or a URL such as s3://bucket/path (any that fsspec knows): then
            checkpoints and copies of the journal lie there, and the experiment is worked on in ./results.
        resume: False: a new experiment. "auto": go on with it if it exists. True: it must exist.
        retry_failed: At a resume, try the failed trials again.
        raise_on_failed_trial: Raise `TrialsFailed` at the end if a trial failed.
        seed: Makes the experiment reproducible: the same configs in the same trials.
        points_to_evaluate: Configs to try first; each may leave parameters out, which are then drawn.
        duplicates: "skip": in a finite space no config is tried twice, and when all have been, the experiment ends (a
            grid alone is gone through as often as `num_samples` says). "replicate": it may be.
        warm_from: Earlier experiments that the searcher begins with, one or a list: the folder or `Results` of one of
            ours, a study of Optuna (a file, a URL such as sqlite:///study.db, or a pair of that and its name), a
            results folder of Ray Tune, a CSV or parquet file, a DataFrame, a list of dicts. Spaces may differ. Where
            names do: `{"source": ..., "metric": ..., "mode": ..., "study": ...}`. Each is read once.
        checkpoint_freq: For class trainables: save after each so many steps; 0 never.
        checkpoint_at_end: For class trainables: save at the end.
        num_to_keep: How many checkpoints of each trial to keep: so many of its best ones, and always its last. Default:
            its best one and its last.
        checkpoint_score_attr: The metric by which checkpoints are kept; "min-loss" keeps those with the lowest "loss".
            Default: the objective.
        checkpoint_score_order: "max" (the default) or "min", in place of such a prefix.
        max_checkpoint_bytes: The most that all kept checkpoints together may take: bytes, or text such as "10GB".
        pause: "end": a paused trial's process ends, and the trial goes on from its checkpoint. "hold": the process
            stands still, without its resources but with its memory, and goes on where it stood.
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
    freq = arguments.whole_number("checkpoint_freq", checkpoint_freq, at_least=0)
    at_end = arguments.flag("checkpoint_at_end", checkpoint_at_end)
    check_trainable(bound, saves=freq > 0 or at_end)
    chosen_scheduler = unused(choices.scheduler_of(scheduler))
    objectives = choices.objectives_of(metric, mode, chosen_scheduler)
    if is_algorithm_config(space):
        space = settings_of(space)
    compiled = searched_space(space, searcher)
    samples = arguments.sample_count(num_samples)
    searcher_for = choices.searcher_of(
        searcher, compiled, samples, points_to_evaluate, objectives=objectives, duplicates=duplicates
    )
    count = choices.replicate_count(replicates, compiled, chosen_scheduler)
    if count > 1:
        searcher_for = replicated(searcher_for, count)
    window = choices.window_of(deterministic, chosen_scheduler)
    if window is not None:
        searcher_for = in_step(searcher_for, window)
    chosen_executor = choices.executor_on(executor, cpus, gpus)
    limits = Limits(
        max_failures=arguments.whole_number("max_failures", max_failures, at_least=-1),
        max_concurrent=choices.most_at_once(max_concurrent_trials, searcher, chosen_executor),
        time_budget=arguments.seconds("time_budget_s", time_budget_s),
        trial_time=arguments.seconds("trial_time_limit_s", trial_time_limit_s),
        report_timeout=arguments.seconds("report_timeout_s", report_timeout_s),
        grace=arguments.number("grace_s", grace_s, at_least=0),
        fail_fast=arguments.one_of("fail_fast", fail_fast, (True, False, "auto")),
        nan_fails=arguments.one_of("nan", nan, ("worst", "fail")) == "fail",
        holds=choices.holds_paused(pause, chosen_executor),
        num_to_keep=None if num_to_keep is None else arguments.whole_number("num_to_keep", num_to_keep, at_least=1),
        checkpoint_bytes=arguments.byte_count("max_checkpoint_bytes", max_checkpoint_bytes),
    )
    score = arguments.checkpoint_score(checkpoint_score_attr, checkpoint_score_order)
    request, request_of = choices.request_of(bound, resources, compiled, is_bounded=limits.max_concurrent is not None)
    new_seed = int.from_bytes(os.urandom(4), "little") if seed is None else arguments.seed(seed)
    # A first config is made and asked for its resources now, before anything is written: most mistakes show at once.
    trial_maker, _ = searcher_for(new_seed)
    sources = choices.sources_of(warm_from, trial_maker)
    if request_of is not None and isinstance(trial_maker, VariantGenerator):
        request_of(trial_maker.variants.config(0))
    word, retries = choices.resume_words(resume)
    place = place_for(name, arguments.storage(storage_path), word, name_of(bound.trainable))
    plan = Plan(
        folder=place.folder,
        is_new=place.is_new,
        remote=place.remote,
        bound=bound,
        space=compiled,
        objective=objectives[0] if objectives else None,
        more_objectives=objectives[1:],
        replicates=count,
        searcher_for=searcher_for,
        scheduler=chosen_scheduler,
        stopper=unused(as_stopper(stop)),
        limits=limits,
        checkpoint_score=score,
        executor=chosen_executor,
        callbacks=[
            TrialFiles(),
            MissingMetric(),
            Restarts(),
            LostCheckpoints(),
            *([Upload(place.remote)] if place.remote is not None else []),
            *console(arguments.verbosity(verbose)),
            *arguments.callback_list(callbacks),
        ],
        seed=new_seed,
        warm_from=sources,
        request=request,
        request_of=request_of,
        retry_failed=arguments.flag("retry_failed", retry_failed) or retries,
        worker_options={
            "reuse_workers": arguments.flag("reuse_workers", reuse_workers),
            "checkpoint_freq": freq,
            "checkpoint_at_end": at_end,
        },
    )
    raises = arguments.flag("raise_on_failed_trial", raise_on_failed_trial)
    drive(plan)
    results = Results(place.folder, resolve=compiled.resolve)
    if raises and results.num_errors:
        first = results.errors[0]
        raise TrialsFailed(
            f"{results.num_errors} of {len(results)} trials failed. "
            f"The first, trial {first.id}: {first.error.message if first.error else 'unknown'}. See {first.folder}."
        )
    return results


def load(folder: str | os.PathLike[str]) -> Results:
    """Return the results in an experiment's folder or under its URL: from any process, while it runs or after.

    Of a URL the journal is copied to this user's cache first; checkpoints are, when they are asked for.

    Raises:
        ExperimentNotFound: There is no experiment in that folder.
        JournalDamaged: Its journal cannot be trusted; the message says how to go on.
    """
    return Results(found(folder))


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
    renamed_arguments = dict(given)
    for key, value in ray_names.items():
        ours = RAY_NAMES.get(key)
        if ours is None:
            known = [*defaults, *RAY_NAMES]
            near = difflib.get_close_matches(key, known, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise ConfigError(f"run() has no argument {key!r}.{hint}")
        if renamed_arguments.get(ours, defaults[ours]) is not defaults[ours]:
            raise ConfigError(f"{key}= is another name for {ours}=; give one of them.")
        renamed_arguments[ours] = value
    return renamed_arguments
