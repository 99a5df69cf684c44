"""What `tunesmith best` prints: one trial, the front of several objectives, or the config with the best mean."""

from __future__ import annotations

import os
from typing import Any

from .analysis.groups import Group
from .analysis.results import Results
from .command_show import show_best
from .errors import ConfigError
from .store.codec import dumps
from .terminal import Screen
from .text import described, flat, shown


def print_best(results: Results, *, as_json: bool, checkpoint: bool, metric: str | None, mode: str | None) -> None:
    """Print what is best: as a page, as one line of JSON, or as the path of its checkpoint.

    Raises:
        TuneError, ConfigError: As `Results.get_best_trial`; there is no checkpoint.
    """
    if checkpoint:
        trial = results.get_best_trial(metric, mode)
        if trial.checkpoint is None:
            raise ConfigError(f"trial {trial.id}, the best one, has no checkpoint: its function reported none.")
        print(os.fspath(trial.checkpoint))
    elif metric is None and len(results.objectives) > 1:
        _print_front(results, as_json=as_json)
    elif metric is None and results.replicates > 1:
        group = results.best_group
        if as_json:
            print(dumps(group.config).decode())
        else:
            _show_group(results, group)
    else:
        trial = results.get_best_trial(metric, mode)
        if as_json:
            print(dumps(trial.config).decode())
        else:
            show_best(trial)


def _print_front(results: Results, *, as_json: bool) -> None:
    names, front = [each.metric for each in results.objectives], results.pareto_front()
    if as_json:
        rows: list[dict[str, Any]] = []
        for trial in front:
            metrics = trial.metrics
            rows.append({"trial": trial.id, **{name: metrics[name] for name in names}, "config": trial.config})
        print(dumps(rows).decode())
        return
    screen = Screen()
    modes = ", ".join(f"{each.metric} ({each.mode})" for each in results.objectives)
    screen.say(f"{len(front)} trial{'s' * (len(front) != 1)} that no other one dominates, by {modes}", "bold")
    lines = []
    for trial in front:
        metrics = trial.metrics
        iteration = str(metrics["training_iteration"])
        lines.append([str(trial.id), *(shown(metrics[name]) for name in names), iteration, described(trial.config)])
    screen.table(["trial", *names, "iterations", "config"], lines, right=("trial", *names, "iterations"))


def _show_group(results: Results, group: Group) -> None:
    screen = Screen()
    screen.say(f"the config with the best mean of {len(results.groups())}", "bold")
    interval = group.interval
    screen.pairs(
        {
            f"mean {results.metric}": shown(group.mean),
            "95 % interval": "" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}",
            "replicates": f"{group.replicates} of {results.replicates}: {', '.join(map(shown, group.values))}",
            "trials": ", ".join(str(trial.id) for trial in group.trials),
        }
    )
    screen.say()
    screen.say("config", "bold")
    screen.pairs({name: str(value) for name, value in flat(group.config).items()})
