"""What is best so far, in words: of one objective, of several, or as a mean over replicates."""

from __future__ import annotations

from ..core.experiment import Experiment
from ..core.objective import WORST
from ..core.replicates import Standing, best_standing, mean_interval, standings, without_key
from ..core.trial import Status
from ..schedulers.dominance import non_dominated
from ..text import flat, printable, shown
from .base import Run


def best_words(run: Run, experiment: Experiment) -> tuple[str, str]:
    """Return what is best in one line, and its config; both empty while there is nothing.

    O(trials) with several objectives or replicates, O(1) else.
    """
    if run.replicates > 1:
        return _best_group(run, experiment)
    trial = experiment.best
    if trial is None or trial.best is None or experiment.objective is None:
        return "", ""
    name = printable(experiment.objective.metric)
    line = f"trial {trial.id}, {name}={shown(trial.best.value(experiment.objective.metric))}"
    line += f" at iteration {trial.best.number}"
    if len(experiment.objectives) > 1:
        size = front_size(experiment)
        others = ", ".join(printable(each.metric) for each in experiment.objectives)
        line += f" (best {name}; {size} trial{'s' * (size != 1)} on the front of {others})"
    return line, config_words(run, trial.config)


def config_words(run: Run, config: dict[str, object]) -> str:
    """Return what a config has that others may not have: the searched parameters."""
    values = flat(run.resolve(config))
    searched = tuple(f"{name}/" for name in run.parameters)
    # A dict that was chosen, or proportions by name, stand in a config with all that they hold.
    names = [name for name in values if f"{name}/".startswith(searched)] or list(values)
    return ", ".join(f"{printable(name)}={shown(values[name])}" for name in names)


def front_size(experiment: Experiment) -> int:
    """Return how many trials nobody dominates, by their newest results; without a number for each they do not count."""
    points = []
    for trial in experiment.trials:
        if trial.last is not None:
            losses = tuple(objective.loss(trial.last) for objective in experiment.objectives)
            if max(losses) < WORST:
                points.append(losses)
    return len(non_dominated(points))


def group_words(best: Standing, metric: str, values: list[float]) -> str:
    """Return what a group is worth: `mean error=0.21 (0.19 to 0.23) of 5 replicates, from trial 4 on`."""
    interval = mean_interval(values)
    around = "" if interval is None else f" ({shown(interval[0])} to {shown(interval[1])})"
    mean = sum(values) / len(values)
    count = f"{len(values)} replicate{'s' * (len(values) != 1)}"
    return f"mean {printable(metric)}={shown(mean)}{around} of {count}, from trial {min(best.trials)} on"


def _best_group(run: Run, experiment: Experiment) -> tuple[str, str]:
    objective = experiment.objective
    if objective is None:
        return "", ""
    best = best_standing(
        standings(
            (
                (trial.config, trial.best_loss if trial.status is Status.COMPLETED and trial.best else None)
                for trial in experiment.trials
            ),
            run.replicates,
        )
    )
    if best is None:
        return "", ""
    values = [objective.value_of(loss) for loss in best.losses]
    config = without_key(experiment.trials[best.trials[0]].config)
    return group_words(best, objective.metric, values), config_words(run, config)
