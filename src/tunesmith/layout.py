"""Where things lie in an experiment's folder. The only place that spells these names."""

from __future__ import annotations

JOURNAL = "journal.db"
LOCK = "journal.lock"
DAMAGED = "journal.damaged-"
"""What the damaged journals begin with that a repair has kept."""
REMOTE = "remote.json"
"""Says in a working folder which URL the experiment lies under."""
PROBE = ".driver"
"""Holds a word of the driver's: whoever reads it here sees the same folder."""
TRIALS = "trials"
CHECKPOINTS = "checkpoints"
FILES_WRITTEN = f"{TRIALS}/.written"
"""Holds the experiment time up to which the trials' files are whole."""
REQUESTS = "requests"
"""What other processes ask of the running controller: `tunesmith stop`."""


def trial_folder(trial: int) -> str:
    """Return a trial's folder, relative to the experiment's: short and without odd characters, for every platform."""
    return f"{TRIALS}/{trial:05d}"


def checkpoint_folder(trial: int, attempt: int, number: int) -> str:
    """Return the folder of the checkpoint that came with result `number` of an attempt, relative to the experiment's.

    A reported directory's contents lie right in it; a reported file lies in it under its own name.
    """
    return f"{trial_folder(trial)}/{CHECKPOINTS}/{attempt}-{number:06d}"


def start_folder(trial: int, attempt: int, part: str = "") -> str:
    """Return where an attempt keeps what it has downloaded to start from. By its name what is left of it is pruned.

    Args:
        trial: The trial.
        attempt: Its attempt.
        part: Which part of the attempt, for those on other nodes than its first: these may see the same folders.
    """
    return f"{trial_folder(trial)}/{CHECKPOINTS}/.{attempt}{part}-start.tmp"


def checkpoint_container(reference: str) -> str:
    """Return the folder that holds all of the checkpoint that `reference` names (a folder, or a file in one)."""
    parts = reference.split("/")
    return "/".join(parts[: parts.index(CHECKPOINTS) + 2])
