"""Ray Tune's ways to say the same: `Experiment`, `run_experiments`, JSON experiment files, `Tuner`.

A thin face over `api.run`, all of it here; it adds nothing to the core. What has no equal here is an error or a
warning that says what to write instead, never silently ignored.
"""

from __future__ import annotations

import json
import os
import re
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from .analysis.results import Results
from .analysis.trial_result import TrialResult
from .api import load, run
from .callbacks.base import Callback
from .core.bundles import Bundles
from .core.policy import Scheduler, Searcher
from .errors import ConfigError, require
from .executors.named import VARIABLE
from .invocation import resumed_folder
from .places import DEFAULT_STORAGE, exists
from .remote import scheme
from .space.json_spec import domains_from_json
from .space.space import Space
from .trainables import Resources

_SPEC_KEYS = (
    "run", "env", "stop", "config", "trial_resources", "resources_per_trial", "num_samples", "repeat", "local_dir",
    "upload_dir", "checkpoint_freq", "checkpoint_at_end", "keep_checkpoints_num", "checkpoint_score_attr",
    "max_failures", "restore", "storage_path",
)  # fmt: skip


def PlacementGroupFactory(bundles: Iterable[Mapping[str, float]], strategy: str = "PACK") -> Bundles:  # noqa: N802
    """Return what `tune.Bundles` gives, with Ray's names: `CPU` and `GPU` are `cpu` and `gpu`."""
    ours = {"CPU": "cpu", "GPU": "gpu"}
    return Bundles([{ours.get(name, name): amount for name, amount in each.items()} for each in bundles], strategy)


class Experiment:
    """One experiment in early Tune's words; run it with `run_experiments`.

    Args:
        name: The experiment's name and folder.
        run: What to tune: a function, a class, or a registered name.
        stop: When a trial has had enough, e.g. `{"mean_accuracy": 0.95}`.
        config: The search space; lambdas of `spec` are evaluated for each trial.
        trial_resources: What a trial needs, `{"cpu": 4}`; `resources_per_trial` is its later name.
        num_samples: How many trials; with a grid, how many times the grid. `repeat` is its earlier name.
        local_dir: The folder of all experiments.
        upload_dir: Not supported; an error.
        checkpoint_freq: For class trainables: save after each so many steps.
        checkpoint_at_end: For class trainables: save at the end.
        keep_checkpoints_num: How many checkpoints of each trial to keep; `num_to_keep` of `run`.
        checkpoint_score_attr: The metric by which they are kept, "min-loss" for one that is better when lower.
        max_failures: Retries of a failed trial from its last checkpoint.
        restore: Not supported; an error.

    Raises:
        ConfigError: An argument makes no sense or has no equal here.
    """

    def __init__(
        self,
        name: str,
        run: Any,
        *,
        stop: Any = None,
        config: Mapping[str, Any] | Space | None = None,
        trial_resources: Resources | None = None,
        resources_per_trial: Resources | None = None,
        num_samples: int = 1,
        repeat: int = 1,
        local_dir: str | os.PathLike[str] | None = None,
        storage_path: str | os.PathLike[str] | None = None,
        upload_dir: str | None = None,
        checkpoint_freq: int = 0,
        checkpoint_at_end: bool = False,
        keep_checkpoints_num: int | None = None,
        checkpoint_score_attr: str | None = None,
        max_failures: int = 3,
        restore: str | None = None,
        env: Any = None,
    ) -> None:
        if trial_resources is not None and resources_per_trial is not None:
            raise ConfigError(
                "trial_resources= and resources_per_trial= are two names for one thing; give one of them."
            )
        if repeat != 1 and num_samples != 1:
            raise ConfigError("repeat= is the earlier name of num_samples=; give one of them.")
        for word, value in (("upload_dir", upload_dir), ("restore", restore)):
            if value:
                hint = " Give the URL as storage_path=." if word == "upload_dir" else ""
                raise ConfigError(f"Experiment({name!r}): {word}={value!r} is not supported.{hint}")
        self.name = name
        self.arguments: dict[str, Any] = {
            "trainable": run,
            "name": name,
            "stop": stop,
            "space": _with_env(name, config, env),
            "resources": trial_resources if trial_resources is not None else resources_per_trial,
            "num_samples": repeat if repeat != 1 else num_samples,
            "storage_path": local_dir or storage_path or DEFAULT_STORAGE,
            "checkpoint_freq": checkpoint_freq,
            "checkpoint_at_end": checkpoint_at_end,
            "num_to_keep": keep_checkpoints_num,
            "checkpoint_score_attr": checkpoint_score_attr,
            "max_failures": max_failures,
        }

    @classmethod
    def from_json(cls, name: str, spec: Mapping[str, Any]) -> Experiment:
        """Return the experiment that a JSON-like `spec` describes; domains are `{"uniform": [0, 1]}` and so on.

        Raises:
            ConfigError: A key that no experiment has, or no "run".
        """
        if not isinstance(spec, Mapping):
            raise ConfigError(f"experiment {name!r}: {spec!r} is not a dict of {', '.join(_SPEC_KEYS)}.")
        unknown = [key for key in spec if key not in _SPEC_KEYS]
        if unknown:
            raise ConfigError(f"experiment {name!r}: unknown keys {unknown}. Known ones: {', '.join(_SPEC_KEYS)}.")
        if "run" not in spec:
            raise ConfigError(
                f"experiment {name!r} does not say what to run. Add \"run\": a name or 'module:function'."
            )
        arguments = dict(spec)
        if "config" in arguments:
            arguments["config"] = domains_from_json(arguments["config"])
        return cls(name, arguments.pop("run"), **arguments)


def experiments_from_file(path: str | os.PathLike[str]) -> list[Experiment]:
    """Return the experiments in a JSON or YAML file: `{"name": {"run": ..., "config": {...}, ...}, ...}`.

    "run" names a function: "module:function", or "file.py:function" with the file's path seen from the JSON file.

    Raises:
        ConfigError: The file cannot be read as that; the message says where.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
        if file.suffix in (".yaml", ".yml"):
            yaml = require("yaml", feature="a YAML experiment file", extra="yaml")
            specs = yaml.safe_load(text)
        else:
            specs = json.loads(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ConfigError(f"{file} is not valid JSON: {error}.") from error
    except Exception as error:
        if type(error).__module__.startswith("yaml"):
            raise ConfigError(f"{file} is not valid YAML: {error}.") from error
        raise
    if not isinstance(specs, dict) or not specs:
        raise ConfigError(f'{file} must hold {{"experiment name": {{"run": ..., "config": {{...}}}}}}.')
    if str(file.parent.resolve()) not in sys.path:
        sys.path.insert(0, str(file.parent.resolve()))  # what it runs may lie beside it
    experiments = [Experiment.from_json(name, spec) for name, spec in specs.items()]
    for experiment in experiments:
        run = experiment.arguments["trainable"]
        if isinstance(run, str) and (file.parent / run.rpartition(":")[0]).is_file():
            experiment.arguments["trainable"] = str(file.parent.resolve() / run)
    return experiments


def _with_env(name: str, config: Mapping[str, Any] | Space | None, env: Any) -> Mapping[str, Any] | Space:
    if not isinstance(config, Space):
        return dict(config or {}) if env is None else {"env": env, **(config or {})}
    if env is not None:
        raise ConfigError(f"Experiment({name!r}): env={env!r} beside a tune.Space. Put it into the space, as 'env'.")
    return config


def run_experiments(
    experiments: Experiment | Iterable[Experiment] | Mapping[str, Any],
    search_alg: Searcher | str | None = None,
    scheduler: Scheduler | str | None = None,
    *,
    verbose: bool | int = True,
    resume: bool | str = False,
    raise_on_failed_trial: bool = True,
    reuse_actors: bool = False,
    with_server: bool = False,
    server_port: int = 4321,
    queue_trials: bool = False,
    trial_executor: Any = None,
    **more: Any,
) -> list[TrialResult]:
    """Run experiments one after another and return all of their trials.

    Args:
        experiments: An `Experiment`, several, or `{"name": {"run": ..., "config": {...}}}`.
        search_alg: Proposes configs; `searcher` of `run`.
        scheduler: Stops bad trials early; each experiment gets a fresh one.
        verbose: Whether to show the display.
        resume: Go on with the experiments that exist. Without it an experiment whose name is taken gets a numbered one.
        raise_on_failed_trial: Raise `TrialsFailed` when a trial failed.
        reuse_actors: Reuse processes for several trials.
        with_server: Not supported; a warning. `tunesmith stop` and `tunesmith show` work on a running experiment.
        server_port: See `with_server`.
        queue_trials: On Ray, let trials wait for nodes that are not there yet; elsewhere a warning.
        trial_executor: Not supported; a warning.
        **more: Further arguments of `run`, e.g. `metric`, `mode`, `seed`.

    Raises:
        ConfigError: The experiments make no sense.
        TrialsFailed: With `raise_on_failed_trial`.
    """
    for word, value in (
        ("with_server", with_server),
        ("trial_executor", trial_executor),
    ):
        if value:
            warnings.warn(f"run_experiments({word}=...) has no equal here and is ignored.", stacklevel=2)
    if queue_trials:
        more["executor"] = _queueing(more.get("executor"))
    trials: list[TrialResult] = []
    for experiment in _experiments(experiments):
        arguments = {**experiment.arguments, **more}
        if resume is False:
            arguments["name"] = _own_name(arguments["storage_path"], experiment.name)
        if search_alg is None:
            arguments.setdefault("duplicates", "replicate")  # Early Tune ran as many trials as were asked for.
        results = run(
            arguments.pop("trainable"),
            searcher=search_alg,
            scheduler=scheduler,
            verbose=verbose,
            resume="auto" if resume is True else resume,
            raise_on_failed_trial=raise_on_failed_trial,
            reuse_workers=reuse_actors,
            **arguments,
        )
        trials.extend(results)
        if results.finished is not None and results.finished.reason == "interrupted":
            break  # Whoever pressed Ctrl-C meant all of them.
    return trials


def _queueing(executor: Any) -> Any:
    asked = os.environ.get(VARIABLE) if executor is None else executor
    if isinstance(asked, str) and asked.partition(":")[0] == "ray":
        return f"{asked}{',' if ':' in asked else ':'}queue_trials=true"
    warnings.warn(
        "run_experiments(queue_trials=...) is ignored: it is for executor='ray'; an object says it itself, as "
        "RayExecutor(queue_trials=True).",
        stacklevel=3,
    )
    return executor


def _experiments(experiments: Any) -> list[Experiment]:
    if isinstance(experiments, Experiment):
        return [experiments]
    if isinstance(experiments, Mapping) and experiments:
        return [Experiment.from_json(name, spec) for name, spec in experiments.items()]
    if isinstance(experiments, Iterable) and not isinstance(experiments, str):
        found = list(experiments)
        if all(isinstance(experiment, Experiment) for experiment in found) and found:
            return found
    raise ConfigError(
        f"run_experiments({experiments!r}): give a tune.Experiment, a list of them, or "
        "{'name': {'run': ..., 'config': {...}}}."
    )


def _own_name(storage_path: str | os.PathLike[str], name: str) -> str:
    """Return `name`, or a numbered one when an experiment of that name exists: early Tune never mixed two runs."""
    again = resumed_folder()
    if again is not None:
        return again.name if re.fullmatch(rf"{re.escape(name)}_\d+", again.name) else name
    own, number = name, 1
    while exists(storage_path, own):
        number += 1
        own = f"{name}_{number}"
    if number > 1:
        warnings.warn(
            f"there is an experiment {name!r} already; this one is {own!r}. To go on with it: resume=True.",
            stacklevel=3,
        )
    return own


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How to search, in Ray 2's words; see `run` for each."""

    metric: str | None = None
    mode: str | None = None
    search_alg: Searcher | str | None = None
    scheduler: Scheduler | str | None = None
    num_samples: int = 1
    max_concurrent_trials: int | None = None
    time_budget_s: float | timedelta | None = None
    reuse_actors: bool = False


@dataclass(frozen=True, kw_only=True)
class FailureConfig:
    """What to do when trials fail, in Ray 2's words."""

    max_failures: int = 0
    fail_fast: bool | str = "auto"


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When class trainables are saved and what is kept, in Ray 2's words; see `run` for each.

    Without `num_to_keep` a trial's last and best checkpoints are kept, where Ray keeps all.
    """

    num_to_keep: int | None = None
    checkpoint_score_attribute: str | None = None
    checkpoint_score_order: str | None = None
    checkpoint_frequency: int = 0
    checkpoint_at_end: bool = False


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where results go and when to stop, in Ray 2's words."""

    name: str | None = None
    storage_path: str | os.PathLike[str] = DEFAULT_STORAGE
    stop: Any = None
    failure_config: FailureConfig = field(default_factory=FailureConfig)
    checkpoint_config: CheckpointConfig = field(default_factory=CheckpointConfig)
    callbacks: Sequence[Callback] = ()
    verbose: bool | int = 1


class Tuner:
    """A run in Ray 2's words: `Tuner(train, param_space={...}, tune_config=TuneConfig(...)).fit()`."""

    def __init__(
        self,
        trainable: Any,
        *,
        param_space: Mapping[str, Any] | Space | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
    ) -> None:
        tuning, running = tune_config or TuneConfig(), run_config or RunConfig()
        self._trainable = trainable
        self._arguments: dict[str, Any] = {
            "space": param_space,
            "metric": tuning.metric,
            "mode": tuning.mode,
            "searcher": tuning.search_alg,
            "scheduler": tuning.scheduler,
            "num_samples": tuning.num_samples,
            "max_concurrent_trials": tuning.max_concurrent_trials,
            "time_budget_s": tuning.time_budget_s,
            "reuse_workers": tuning.reuse_actors,
            "name": running.name,
            "storage_path": running.storage_path,
            "stop": running.stop,
            "max_failures": running.failure_config.max_failures,
            "fail_fast": running.failure_config.fail_fast,
            "checkpoint_freq": running.checkpoint_config.checkpoint_frequency,
            "checkpoint_at_end": running.checkpoint_config.checkpoint_at_end,
            "num_to_keep": running.checkpoint_config.num_to_keep,
            "checkpoint_score_attr": running.checkpoint_config.checkpoint_score_attribute,
            "checkpoint_score_order": running.checkpoint_config.checkpoint_score_order,
            "callbacks": running.callbacks,
            "verbose": running.verbose,
        }
        if tuning.search_alg is None:
            self._arguments["duplicates"] = "replicate"  # Ray runs as many trials as are asked for.

    def fit(self) -> Results:
        """Run it and return the results."""
        return run(self._trainable, **self._arguments)

    @classmethod
    def restore(
        cls,
        path: str | os.PathLike[str],
        trainable: Any,
        *,
        resume_errored: bool = False,
        param_space: Mapping[str, Any] | Space | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
    ) -> Tuner:
        """Return a tuner that goes on with the experiment in `path`; give it the same space and configs again.

        Raises:
            ExperimentNotFound: There is no experiment in `path`.
        """
        text = os.fspath(path).rstrip("/")
        folder = load(path).folder
        storage = text.rpartition("/")[0] if scheme(text) else folder.parent
        tuner = cls(trainable, param_space=param_space, tune_config=tune_config, run_config=run_config)
        tuner._arguments |= {
            "name": folder.name,
            "storage_path": storage,
            "resume": True,
            "retry_failed": resume_errored,
        }
        return tuner
