"""How an experiment was started, so that a person, or `tunesmith resume`, can start it again."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

from .errors import ConfigError

RECORD = "run.json"

# The experiment that `rerun` is going on with; the run() call that it leads to looks here, far down in a user's script.
_resumed: list[Path] = []
_claimed: list[Path] = []


def record(folder: Path) -> None:
    """Write down in the experiment's folder which command this process was started by; a rerun was by the one there."""
    if _resumed:
        return
    text = json.dumps({"argv": _argv(), "cwd": str(Path.cwd()), "python": sys.executable}, indent=2)
    (folder / RECORD).write_text(text + "\n", encoding="utf-8")


def recorded(folder: Path) -> dict[str, Any] | None:
    """Return what `record` wrote: argv (empty: a notebook, a REPL, standard input), cwd, python; None without it."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def resume_command(folder: Path) -> str:
    """Return what a person does to go on with this experiment."""
    if not (recorded(folder) or {}).get("argv"):
        return f"run the same code again with name={folder.name!r}, resume='auto'"
    path = os.path.relpath(folder)
    return f"tunesmith resume {shlex.quote(path if len(path) < len(str(folder)) else str(folder))}"


def resumed_folder() -> Path | None:
    """Return the experiment that `rerun` is going on with, if this process is such a rerun."""
    return _resumed[-1] if _resumed else None


def claim(folder: Path) -> bool:
    """Return whether a run that has no name may be the one that `rerun` is going on with: only the first one may."""
    is_first = folder not in _claimed
    _claimed.append(folder)
    return is_first


def rerun(folder: Path) -> None:
    """Run the command that started an experiment again, in this process, so that it goes on with it.

    Raises:
        ConfigError: It is not known, or cannot be run again from here; the message says what to type.
    """
    found = recorded(folder)
    arguments = found["argv"] if found else []
    if found is None or not arguments:
        raise ConfigError(
            f"{folder} was not started by a command that can be run again (a notebook, a prompt or standard input). "
            f"Run the same code again with name={folder.name!r}, resume='auto'."
        )
    if not Path(found["cwd"]).is_dir():
        raise ConfigError(f"{folder} was started in {found['cwd']}, which is gone. Run its script with resume='auto'.")
    os.chdir(found["cwd"])
    _resumed.append(folder)
    try:
        if arguments[0] == "-m":
            sys.argv = arguments[1:]
            sys.path.insert(0, found["cwd"])
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            if not Path(arguments[0]).is_file():
                raise ConfigError(f"{folder} was started by {arguments[0]}, which is gone.")
            sys.argv = list(arguments)
            sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        _resumed.pop()
        _claimed.clear()


def _argv() -> list[str]:
    """Return this process's command without the interpreter; [] when running it again would not be the same run."""
    if hasattr(sys, "ps1") or sys.argv[:1] in ([], [""], ["-"], ["-c"]):
        return []
    # orig_argv still has `-m module`; the interpreter's own flags before it are left out.
    original = sys.orig_argv[1:]
    if "-m" in original and original[original.index("-m") :][2:] == sys.argv[1:]:
        arguments = original[original.index("-m") :]
    else:
        arguments = list(sys.argv)
    return [] if any("ipykernel" in argument for argument in arguments) else arguments
