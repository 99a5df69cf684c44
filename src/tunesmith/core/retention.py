"""Which checkpoints nobody needs any more. Questions to an experiment only: the engine drops what they name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .trial import Trial

if TYPE_CHECKING:
    from .experiment import Experiment


def superseded(trial: Trial, num_to_keep: int | None) -> list[str]:
    """Return the checkpoints of a trial that are neither its last one nor among its best.

    Args:
        trial: The trial.
        num_to_keep: How many count as its best, the newest of equals first; None: the best by the objective.
    """
    kept = trial.checkpoints
    if kept is None or len(kept) < 2:
        return []
    needed = {trial.checkpoint}
    if num_to_keep is None:
        needed.add(trial.best_checkpoint)
    else:
        newest_first = list(kept)[::-1]
        needed.update(sorted(newest_first, key=lambda name: kept[name].score)[:num_to_keep])
    return [name for name in kept if name not in needed]


def over_budget(experiment: Experiment, most: int) -> Iterator[tuple[Trial, str]]:
    """Yield (trial, checkpoint) to drop, one after another, until the rest take no more than `most` bytes.

    First those of trials that are over, the worst first, then what live ones keep besides their last. The best
    trial's best one, and the last one of a trial that may go on, are never dropped.
    """
    if experiment.checkpoint_bytes <= most:
        return
    # Those that keep any are as few as fit into the room.
    keepers = [experiment.trials[number] for number in experiment.keepers]
    for trial in sorted(keepers, key=lambda trial: (not trial.status.is_final, -trial.best_loss)):
        best = trial.best_checkpoint if trial is experiment.best else None
        last = None if trial.status.is_final else trial.checkpoint
        for checkpoint in [name for name in trial.checkpoints or () if name not in (best, last)]:
            if experiment.checkpoint_bytes <= most:
                return
            yield trial, checkpoint
