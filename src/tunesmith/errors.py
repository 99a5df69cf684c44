"""Every exception that Tunesmith raises on purpose; one class per mistake that a caller can handle.

`TuneError` is the root. Errors of the caller's input (`SpaceError`, `ConfigError`, `ReportError`, `ResourceError`)
are raised at the door, before anything has run. `IllegalTransition` is a bug of ours.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class TuneError(Exception):
    """The root of Tunesmith's exceptions."""


class SpaceError(TuneError, ValueError):
    """A search space that cannot be sampled; the message names the path in the space."""


class ConfigError(TuneError, ValueError):
    """An argument of a public function that makes no sense; the message says what to write instead."""


class ReportError(TuneError, ValueError):
    """A report that cannot be recorded: a metric of a wrong type, too large, missing what a scheduler needs."""


class CommandFailed(TuneError):
    """A command line that a trial runs could not be started, or ended badly."""


class MetricsUnreadable(TuneError, ValueError):
    """What a command line has written as its metrics is no JSON object."""


class CheckpointUnreadable(TuneError):
    """What an attempt is to start from is not what was written: the trial falls back one checkpoint.

    Damaged and missing files are found without anybody's help. A trainable that finds out more when it loads one (a
    version that it does not know, say) raises this.
    """


class ResourceError(TuneError, ValueError):
    """A request that no node can ever fit; the message names what each node lacks."""


class TrialsFailed(TuneError):
    """Some trials failed, and the caller asked for an exception when that happens."""


class ExperimentExists(TuneError):
    """A folder already holds an experiment and the caller said neither resume nor overwrite."""


class ExperimentNotFound(TuneError, FileNotFoundError):
    """No experiment where one was expected."""


class JournalError(TuneError):
    """The journal cannot be used."""


class JournalDamaged(JournalError):
    """The journal's bytes are not what was written; the message says what is intact and how to go on."""


class JournalLocked(JournalError):
    """Another controller is writing this journal."""


class JournalFull(JournalError):
    """The journal could not be written: no room, or a failing disk. Nothing was half-written; try again later."""


class JournalTooNew(JournalError):
    """The journal holds a kind or version of event that this version of Tunesmith does not know."""


class StorageError(TuneError):
    """What lies under a storage URL could not be read or written, after several tries."""


class ExecutorError(TuneError):
    """The engine that runs the trials could not be started or was lost."""


class IllegalTransition(TuneError):
    """A trial was asked to do what its status forbids. Always a bug in Tunesmith; the message tells its story."""


class MissingExtra(TuneError, ImportError):
    """An optional package is not installed; the message names the feature and the `pip install` line."""


def require(module: str, *, feature: str, extra: str) -> ModuleType:
    """Return the optional `module`, imported now.

    Raises:
        MissingExtra: It is not installed; the message names the feature and what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(f"{feature} needs the package {package!r}: pip install 'tunesmith[{extra}]'") from error
