"""The checkpoint folders of an experiment: deleting those that nothing needs, and nothing else.

References come from a journal, which may be anyone's; a reference that leads out of the experiment is refused.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..core.events import AttemptEnded, CheckpointDropped, Event, Reported, TrialExploited, TrialLaunched
from ..errors import JournalError
from ..layout import CHECKPOINTS, DAMAGED, TRIALS, checkpoint_container, trial_folder

_CONTAINER = re.compile(rf"{TRIALS}/\d+/{CHECKPOINTS}/\d+-\d+")
_DISCARDED = ".tmp-discarded"


def discard(experiment_folder: Path, reference: str) -> None:
    """Delete the checkpoint that `reference` names, with its container; one that is gone already is no error.

    Raises:
        JournalError: The reference leads outside the experiment's checkpoints; nothing was deleted.
    """
    container = _container(experiment_folder, reference)
    going = container.with_name(container.name + _DISCARDED)
    try:
        # By a rename first: a kill in the middle leaves no half checkpoint under a good name.
        container.rename(going)
    except FileNotFoundError:
        return
    except OSError:
        # The same checkpoint was discarded before, reported again and discarded again, and the first try was cut off.
        shutil.rmtree(going)
        container.rename(going)
    shutil.rmtree(going)


def prune(experiment_folder: Path, events: Iterable[Event]) -> list[Path]:
    """Delete what a crash has left, and return it: half a checkpoint, and a whole one that nothing refers to.

    Only while no attempt of the experiment is alive: a commit under way looks the same.

    Args:
        experiment_folder: The experiment's folder.
        events: All events of its journal.
    """
    events = list(events)
    kept = kept_containers(events)
    launched = {event.trial for event in events if isinstance(event, TrialLaunched)}
    # What a repaired journal no longer knows may be all that is left of it.
    keeps_unknown = any(experiment_folder.glob(f"{DAMAGED}*"))
    pruned = []
    for trial in sorted(launched):
        checkpoints = experiment_folder / trial_folder(trial) / CHECKPOINTS
        if not checkpoints.is_dir() or _is_led_astray(experiment_folder, checkpoints):
            continue
        for path in sorted(checkpoints.iterdir()):
            name = path.relative_to(experiment_folder).as_posix()
            is_whole = _CONTAINER.fullmatch(name) is not None and not path.is_symlink()
            if ".tmp" in path.name or (is_whole and name not in kept and not keeps_unknown):
                pruned.append(path)
    for path in pruned:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return pruned


def kept_containers(events: Iterable[Event]) -> set[str]:
    """Return the folders of the checkpoints that some trial keeps, from all events of a journal."""
    keepers: dict[str, set[int]] = {}
    """Container -> the trials that keep what is in it: a clone keeps what its source has saved."""
    for event in events:
        match event:
            case (
                Reported(checkpoint=str() as reference)
                | AttemptEnded(checkpoint=str() as reference)
                | TrialExploited(checkpoint=str() as reference)
            ):
                keepers.setdefault(_container_name(reference), set()).add(event.trial)
            case CheckpointDropped(reason=""):
                # One that was dropped because it could not be read stays: perhaps only a package is missing.
                keepers.get(_container_name(event.checkpoint), set()).discard(event.trial)
    return {container for container, trials in keepers.items() if trials}


def _container_name(reference: str) -> str:
    return "/".join(reference.split("/")[:4])


def _container(experiment_folder: Path, reference: str) -> Path:
    try:
        name = checkpoint_container(reference)
    except ValueError:
        name = ""
    container = experiment_folder / name
    if not _CONTAINER.fullmatch(name) or container.is_symlink() or _is_led_astray(experiment_folder, container.parent):
        raise JournalError(
            f"the checkpoint {reference!r} does not lie in the checkpoints of {experiment_folder}; it was not deleted. "
            "Has somebody changed the journal, or replaced a folder by a link?"
        )
    return container


def _is_led_astray(experiment_folder: Path, checkpoints: Path) -> bool:
    """Whether a link stands between the experiment's folder and one of its folders of checkpoints."""
    return checkpoints.resolve() != experiment_folder.resolve() / checkpoints.relative_to(experiment_folder)
