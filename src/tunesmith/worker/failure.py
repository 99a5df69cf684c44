"""What went wrong in user code, told for people: one line, the user's own place, a traceback without our frames."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from types import TracebackType

LONGEST_MESSAGE = 500
LONGEST_TRACEBACK = 20_000

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120  compared as text
_STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # noqa: PTH100, PTH120
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_OUT_OF_MEMORY = ("out of memory", "RESOURCE_EXHAUSTED")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Fields as in `core.events.Failure`."""

    kind: str
    message: str
    where: str
    traceback: str


class RankFailed(Exception):
    """One of the processes that run a trial's code failed; `diagnosis` is what it said of itself."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        super().__init__(diagnosis.message)
        self.diagnosis = diagnosis


def diagnosed(error: BaseException, *, kind: str = "", defined_at: str = "") -> Diagnosis:
    """Return what to tell people about an exception that left the user's code.

    Args:
        error: The exception, with its traceback.
        kind: Overrides what the exception's type says.
        defined_at: The place to name when the traceback holds no frame of the user.
    """
    return Diagnosis(
        kind=kind or _kind(error),
        message=_message(error),
        where=_place(error.__traceback__) or defined_at,
        traceback=_told(error),
    )


def _kind(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "exit"
    if isinstance(error, MemoryError) or type(error).__name__ in ("OutOfMemoryError", "ResourceExhaustedError"):
        return "out_of_memory"
    if isinstance(error, RuntimeError) and any(sign in _text(error) for sign in _OUT_OF_MEMORY):
        return "out_of_memory"  # older torch, jax and cuda bindings raise a plain RuntimeError
    return "exception"


def _message(error: BaseException) -> str:
    name, text = type(error).__qualname__, " ".join(_text(error).split())
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        text = f"the trial called sys.exit({error.code})"
    message = f"{name}: {text}" if text else name
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."


def _text(error: BaseException) -> str:
    try:
        return str(error).encode(errors="backslashreplace").decode()
    except Exception:  # noqa: BLE001  the user's own __str__
        return "<its text could not be made>"


def _place(trace: TracebackType | None) -> str:
    """Return the deepest frame of the user's own files, else of any file that is not ours, else ""."""
    own = foreign = ""
    for frame, line in traceback.walk_tb(trace):
        filename, function = frame.f_code.co_filename, frame.f_code.co_name
        if filename.startswith(_OURS):
            continue
        place = f"{os.path.basename(filename)}:{line} in {function}"  # noqa: PTH119  not always a path: "<stdin>"
        if _is_library(filename):
            foreign = place
        else:
            own = place
    return own or foreign


def _is_library(filename: str) -> bool:
    return filename.startswith((_STANDARD, "<frozen ")) or any(part in filename for part in _INSTALLED)


def _told(error: BaseException) -> str:
    told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    _without_our_frames(told)
    text = "".join(told.format()).encode(errors="backslashreplace").decode()
    if len(text) <= LONGEST_TRACEBACK:
        return text
    # The end names the error, the start names the way in.
    head = LONGEST_TRACEBACK // 4
    cut = f"\n  ... {len(text) - LONGEST_TRACEBACK:,} characters cut ...\n"
    return text[:head] + cut + text[head - LONGEST_TRACEBACK :]


def _without_our_frames(told: traceback.TracebackException | None) -> None:
    while told is not None:
        told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(_OURS)]
        for inner in told.exceptions or ():
            _without_our_frames(inner)
        _without_our_frames(told.__cause__)
        told = told.__context__
