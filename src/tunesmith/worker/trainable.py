"""Class trainables: the base class, and how one is driven, saved and loaded."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import CheckpointUnreadable, ConfigError, ReportError
from .checkpoint import staged
from .session import Context, Session

NAMES = (
    ("setup", "_setup"),
    ("step", "_train"),
    ("save_checkpoint", "_save"),
    ("load_checkpoint", "_restore"),
    ("cleanup", "_stop"),
    ("log_result", "_log_result"),
)
"""Each method under today's name and under the one that early scripts use."""

_MANIFEST = ".trainable.json"
_DICT = "checkpoint.pkl"


class Trainable:
    """The base class of what is trained step by step.

    Override `setup` and `step`, and to be resumable `save_checkpoint` and `load_checkpoint`; the early names (`_setup`,
    `_train`, `_save`, `_restore`, `_stop`) work too. The attributes below are set before `setup` is called.
    """

    config: dict[str, Any]
    iteration: int
    """How many steps are behind the trial; counts on from a checkpoint."""
    trial_id: str
    trial_name: str
    trial_resources: dict[str, float]
    _context: Context

    @cached_property
    def logdir(self) -> str:
        """The path of the trial's own folder, which is made when it is first asked for."""
        return self._context.get_trial_dir()

    @property
    def training_iteration(self) -> int:
        """The same as `iteration`."""
        return self.iteration

    def setup(self, config: dict[str, Any], **parameters: Any) -> None:
        """Prepare for `config`; called once, before the first step. `parameters` come from `tune.with_parameters`."""
        self._setup(config, **parameters)

    def step(self) -> dict[str, Any]:
        """Train for a while and return metrics; `done=True` in them ends the trial, `should_checkpoint=True` saves."""
        return self._train()

    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        """Save into the directory; return None, a path inside it, or a dict that is to be kept instead."""
        return self._save(checkpoint_dir)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from what `save_checkpoint` made: the directory, the path or the dict that it returned."""
        self._restore(checkpoint)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take up another trial's config in place of a new object; return False if that cannot be done."""
        return False

    def cleanup(self) -> None:
        """Free what `setup` took."""
        self._stop()

    def log_result(self, result: dict[str, Any]) -> None:
        """See each result before it is reported."""
        self._log_result(result)

    def _setup(self, config: dict[str, Any], **parameters: Any) -> None:
        """Early name of `setup`."""

    def _train(self) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__qualname__} defines neither step() nor _train().")

    def _save(self, checkpoint_dir: str) -> Any:
        raise NotImplementedError(f"{type(self).__qualname__} defines neither save_checkpoint() nor _save().")

    def _restore(self, checkpoint: Any) -> None:
        raise NotImplementedError(f"{type(self).__qualname__} defines neither load_checkpoint() nor _restore().")

    def _stop(self) -> None:
        """Early name of `cleanup`."""

    def _log_result(self, result: dict[str, Any]) -> None:
        """Early name of `log_result`."""


def check_class(trainable: type[Trainable], *, saves: bool = False) -> None:
    """Check that a class can be run.

    Args:
        trainable: The class.
        saves: Whether checkpoints were asked for.

    Raises:
        ConfigError: A method stands there under both of its names, or one that is needed is missing.
    """
    for new, early in NAMES:
        if _overrides(trainable, new) and _overrides(trainable, early):
            raise ConfigError(
                f"{trainable.__qualname__} defines both {new}() and {early}(), two names of one method. Keep {new}()."
            )
    if not _overrides_either(trainable, "step", "_train"):
        raise ConfigError(f"{trainable.__qualname__} defines no step(). Define it: it returns metrics.")
    if saves and not can_save(trainable):
        raise ConfigError(
            f"checkpoints are asked for, but {trainable.__qualname__} defines no save_checkpoint(). "
            "Define it with load_checkpoint(), or drop checkpoint_freq and checkpoint_at_end."
        )


def can_save(trainable: type[Trainable]) -> bool:
    """Whether the class defines how to save itself."""
    return _overrides_either(trainable, "save_checkpoint", "_save")


def train(
    instance: Trainable,
    session: Session,
    *,
    checkpoint_freq: int,
    checkpoint_at_end: bool,
    saves_when_waiting: bool = False,
) -> None:
    """Step and report until the trial is to end, which raises TrialHalted.

    A checkpoint goes with its step's report: it is in its place before the result is known to anyone.
    """
    save_waiting = (lambda number: save(instance, session, number)) if saves_when_waiting else None
    while True:
        instance.iteration = session.number
        result: Any = instance.step()
        if not isinstance(result, Mapping):
            name = type(instance).__qualname__
            raise ReportError(f"{name}.step() returned a {type(result).__qualname__}. Return a dict of metrics.")
        number = session.number + 1
        instance.iteration = number
        due = (checkpoint_freq > 0 and number % checkpoint_freq == 0) or (checkpoint_at_end and result.get("done"))
        if result.get("should_checkpoint"):
            check_class(type(instance), saves=True)
            due = True
        saved = save(instance, session, number) if due else None
        instance.log_result(dict(result))
        session.report(result, saved=saved, save=save_waiting)


def save(instance: Trainable, session: Session, number: int) -> str:
    """Have `instance` save itself as the checkpoint of result `number`; return the reference."""
    reference = session.checkpoint_folder(number)
    with staged(session.folder, reference) as staging:
        returned = instance.save_checkpoint(str(staging))
        manifest: dict[str, str] = {}
        if isinstance(returned, dict):
            manifest = {"dict": _DICT}
            (staging / _DICT).write_bytes(pickle.dumps(returned))
        elif returned is not None:
            manifest = {"path": _inside(returned, staging, instance)}
        (staging / _MANIFEST).write_text(json.dumps(manifest))
    return reference


def load(instance: Trainable, checkpoint: Path) -> None:
    """Have `instance` go on from a checkpoint.

    Raises:
        CheckpointUnreadable: Its files are damaged.
    """
    instance.load_checkpoint(_content(checkpoint))


def _content(checkpoint: Path) -> Any:
    """Return what `save_checkpoint` returned: a dict or a path; the directory itself where it returned nothing."""
    if not (checkpoint / _MANIFEST).is_file():
        return str(checkpoint)  # written by hand, or by a function trainable
    try:
        manifest = json.loads((checkpoint / _MANIFEST).read_text())
        if "dict" in manifest:
            # Our own file, in the experiment's own folder: as trustworthy as the code that runs here.
            return pickle.loads((checkpoint / manifest["dict"]).read_bytes())  # noqa: S301
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise CheckpointUnreadable(f"the checkpoint {checkpoint} cannot be read: {reason}") from error
    return str(checkpoint / manifest["path"]) if "path" in manifest else str(checkpoint)


def _inside(returned: Any, staging: Path, instance: Trainable) -> str:
    """Return a path that `save_checkpoint` returned as one relative to the directory it was given.

    It need not exist: some libraries save under a prefix.
    """
    if isinstance(returned, str | os.PathLike):
        path = Path(os.path.abspath(staging / returned))  # noqa: PTH100  must not follow links
        if path.is_relative_to(staging):
            return path.relative_to(staging).as_posix()
    raise ReportError(
        f"{type(instance).__qualname__}.save_checkpoint() returned {returned!r}. "
        "Return nothing, a dict, or a path inside the directory that it was given."
    )


def _overrides(trainable: type[Trainable], name: str) -> bool:
    return getattr(trainable, name) is not getattr(Trainable, name)


def _overrides_either(trainable: type[Trainable], new: str, early: str) -> bool:
    return _overrides(trainable, new) or _overrides(trainable, early)
