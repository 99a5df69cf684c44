"""What to do with a damaged journal. The damaged file is always kept."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from itertools import count, islice
from pathlib import Path

from ..core.experiment import Experiment
from ..errors import ExperimentNotFound
from ..layout import DAMAGED, JOURNAL
from .faults import damage, intact_events
from .journal import Journal
from .lock import Lock

_EVENTS_AT_ONCE = 1_000


def salvage(folder: Path) -> int:
    """Replace a damaged journal by one of its intact first events; return how many there are.

    The damaged file is kept beside it as `journal.damaged-1.db` (or -2 ...).

    Raises:
        ExperimentNotFound: There is no journal.
        JournalDamaged: Nothing of it is intact; nothing was changed.
        JournalLocked: A controller is writing it.
    """
    if not (folder / JOURNAL).is_file():
        raise ExperimentNotFound(f"no experiment in {folder}: it has no {JOURNAL}. Is the path right?")
    workshop = folder / "journal.repair"
    with closing(Lock(folder)):
        shutil.rmtree(workshop, ignore_errors=True)
        try:
            kept = _rebuild(folder, workshop)
            if not kept:
                raise damage(folder, "no event of it can be read")
            _exchange(folder, workshop / JOURNAL)
        finally:
            shutil.rmtree(workshop, ignore_errors=True)
    return kept


def _rebuild(folder: Path, workshop: Path) -> int:
    experiment = Experiment()
    intact = (event for _, event in intact_events(folder))
    with Journal.create(workshop) as journal:
        while events := list(islice(intact, _EVENTS_AT_ONCE)):
            for event in events:
                experiment.apply(event)
            journal.append(events, experiment)
        return journal.last_seq


def _exchange(folder: Path, rebuilt: Path) -> None:
    damaged = folder / JOURNAL
    kept = next(path for n in count(1) if not (path := folder / f"{DAMAGED}{n}.db").exists())
    # Links take no room: the disk may be full.
    os.link(damaged, kept)
    log = Path(f"{damaged}-wal")
    # SQLite would add an old log to the new file, so it goes first.
    if log.exists():
        log.rename(f"{kept}-wal")
    Path(f"{damaged}-shm").unlink(missing_ok=True)
    rebuilt.replace(damaged)
