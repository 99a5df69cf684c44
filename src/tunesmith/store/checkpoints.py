"""The checkpoint folders of an experiment: deleting those that nothing needs, and nothing else.

References come from a journal, which may be anyone's; a reference that leads out of the experiment is refused.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ..errors import JournalError
from ..layout import CHECKPOINTS, TRIALS, checkpoint_container

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


def prune(experiment_folder: Path) -> list[Path]:
    """Delete what commits and discards that were cut off have left (`*.tmp*`); return what was deleted.

    Only while no attempt of the experiment is alive: a commit under way looks the same.
    """
    left = sorted(experiment_folder.glob(f"{TRIALS}/*/{CHECKPOINTS}/*.tmp*"))
    pruned = [path for path in left if not _is_led_astray(experiment_folder, path.parent)]
    for path in pruned:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return pruned


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
