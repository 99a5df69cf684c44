"""What trials print where the experiment's folder is not to be seen, written down here."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..worker.output import NAMES
from ..worker.runner import ERROR_FILE
from ..worker.wire import Printed


def keep(folder: Path, printed: Printed) -> None:
    """Write it into a trial's folder; on a full disk it is lost, and the trial is not."""
    if printed.name not in (*NAMES, ERROR_FILE):
        return
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / printed.name).open("wb" if printed.name == ERROR_FILE else "ab") as file:
            file.write(printed.data)
