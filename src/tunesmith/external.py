"""Any command line as a trainable: a shell script, R, C++, `torchrun`, `accelerate launch`.

It says its metrics as JSON. What else it prints is left where a trial's output goes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import string
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from .errors import CommandFailed, ConfigError, MetricsUnreadable
from .worker.session import get_checkpoint, get_context, report

STDOUT = "stdout"
CHECKPOINT_KEY = "checkpoint"
"""A line of metrics may say the path of a checkpoint under this key."""
TAIL = 20
"""So many of the last lines of stderr stand in the error when a command fails."""
LOOK_EVERY = 0.1


class Command:
    """A trainable that runs a command line: `tune.run(tune.Command("python train.py --lr {lr}"), space=...)`.

    Each `{name}` is replaced by the config's value of that name, `{model/depth}` by a nested one; `{{` is a brace. A
    text is split as a shell would split it, before values are put in, so that none of them needs quotes; no shell runs
    it. For pipes and variables give `["sh", "-c", "..."]`.

    The command reports by printing a JSON object on a line of its own (`{"loss": 0.3, "epoch": 1}`), or by appending
    such lines to the file `metrics`. A key `"checkpoint"` in it is the path of a file or folder to keep. It finds

    - `TUNESMITH_CONFIG`: the whole config as JSON,
    - `TUNESMITH_TRIAL` and `TUNESMITH_TRIAL_FOLDER`: its number, and a folder of its own,
    - `TUNESMITH_CHECKPOINT`: where a retried, paused or cloned trial goes on from; not set at the first start.

    When the trial is stopped, the command gets SIGTERM, and SIGKILL `grace_s` seconds later, with all that it has
    started. It is not held up while a scheduler decides: by then it may have trained a little further.

    Args:
        command: The command line, as a text or as a list of words.
        metrics: "stdout", or the path of a file that the command appends to; it may hold `{...}` too. A relative path
            is one in the trial's own folder, whose full path the command finds as `TUNESMITH_METRICS`.
        cwd: The folder it runs in; default: the one in which the experiment was started.
        env: More environment variables; values may hold `{...}`.
        grace_s: Seconds between SIGTERM and SIGKILL.

    Raises:
        ConfigError: The command line makes no sense.
        CommandFailed: In a trial: the command could not be started or ended with another exit code than 0.
        MetricsUnreadable: In a trial: a line of the file `metrics` is no JSON object.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        metrics: str = STDOUT,
        cwd: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
        grace_s: float = 5.0,
    ) -> None:
        if not isinstance(command, str) and not all(isinstance(word, str) for word in command):
            raise ConfigError(f"Command({command!r}): give a text, or a list of texts.")
        try:
            self.words = shlex.split(command) if isinstance(command, str) else list(command)
        except ValueError as error:
            raise ConfigError(f"Command({command!r}): it cannot be split into words: {error}.") from None
        if not self.words:
            raise ConfigError("Command(''): give a command line, e.g. Command('python train.py --lr {lr}').")
        self.metrics = metrics
        self.cwd = None if cwd is None else os.fspath(cwd)
        self.env = dict(env or {})
        self.grace = grace_s
        self.__name__ = Path(self.words[0]).name
        for text in (*self.words, metrics, *self.env.values()):
            list(_names(text))

    def __call__(self, config: dict[str, Any]) -> None:
        """Run the command for one trial."""
        context = get_context()
        folder = context.trial_folder
        environment = {
            **os.environ,
            "TUNESMITH_CONFIG": json.dumps(config, default=str),
            "TUNESMITH_TRIAL": str(context.trial_id),
            "TUNESMITH_TRIAL_FOLDER": str(folder),
            **{name: filled(value, config) for name, value in self.env.items()},
        }
        checkpoint = get_checkpoint()
        if checkpoint is not None:
            environment["TUNESMITH_CHECKPOINT"] = str(checkpoint.path)
        file = None
        if self.metrics != STDOUT:
            file = folder / filled(self.metrics, config)
            file.unlink(missing_ok=True)  # what an earlier attempt wrote has been reported
            environment["TUNESMITH_METRICS"] = str(file)
        words = [filled(word, config) for word in self.words]
        try:
            process = subprocess.Popen(
                words,
                cwd=self.cwd,
                env=environment,
                stdout=subprocess.PIPE if file is None else None,
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                process_group=0,
            )
        except OSError as error:
            raise CommandFailed(f"{shlex.join(words)}: it cannot be started: {error}") from None
        tail = _Tail(process.stderr)
        try:
            for metrics in _printed(process) if file is None else _appended(process, file):
                _report(metrics, self.cwd)
            code = process.wait()
        except BaseException:
            _end(process, self.grace)
            raise
        finally:
            tail.join()
        if code:
            raise CommandFailed(f"{shlex.join(words)} {_how_it_ended(code)}{tail.text}")

    def __repr__(self) -> str:
        return f"Command({shlex.join(self.words)!r})"


def filled(text: str, config: Mapping[str, Any]) -> str:
    """Return a text with `{name}` replaced by the config's values.

    Raises:
        ConfigError: The config has no such value.
    """
    words = []
    for literal, name in _names(text):
        words.append(literal)
        if name is not None:
            words.append(_shown(_value(config, name, text)))
    return "".join(words)


def _names(text: str) -> Iterator[tuple[str, str | None]]:
    try:
        for literal, name, form, conversion in string.Formatter().parse(text):
            if form or conversion or name == "":
                raise ValueError("only {name} may stand in braces")
            yield literal, name
    except ValueError as error:
        raise ConfigError(
            f"Command: {text!r}: {error}. Write {{{{ and }}}} for braces that are meant as such."
        ) from None


def _value(config: Mapping[str, Any], name: str, text: str) -> Any:
    found: Any = config
    for part in name.split("/"):
        if isinstance(found, Mapping) and part in found:
            found = found[part]
        elif isinstance(found, Sequence) and not isinstance(found, str) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            has = ", ".join(map(repr, config)) or "nothing"
            raise ConfigError(f"Command: {text!r} asks for {name!r}, which the config does not have; it has {has}.")
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _printed(process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the metrics that a command prints; its other lines go on to where ours go.

    It ends with the command, also where something that it has left running holds its output open.
    """
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    rest = b""
    while True:
        chunk = b""
        if poller.poll(1000 * LOOK_EVERY):
            chunk = os.read(descriptor, 1 << 16)
        elif process.poll() is None:
            continue
        *lines, rest = (rest + chunk).split(b"\n")
        if not chunk and rest:
            lines.append(rest)
        for line in lines:
            text = line.decode(errors="replace")
            metrics = _metrics(text)
            if metrics is None:
                print(text, flush=True)
            else:
                yield metrics
        if not chunk:
            return


def _appended(process: subprocess.Popen[bytes], file: Path) -> Iterator[dict[str, Any]]:
    """Yield the metrics that a command appends to a file, until it has ended and all of them are read."""
    place, rest, number = 0, b"", 0
    while True:
        is_over = process.poll() is not None
        if file.exists():
            with file.open("rb") as opened:
                opened.seek(place)
                new = opened.read()
            place += len(new)
            *lines, rest = (rest + new).split(b"\n")
            if is_over and rest.strip():
                lines.append(rest)
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                metrics = _metrics(line.decode(errors="replace"))
                if metrics is None:
                    raise MetricsUnreadable(f"{file}, line {number}, is no JSON object: {line[:200]!r}")
                yield metrics
        if is_over:
            return
        time.sleep(LOOK_EVERY)


def _metrics(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _report(metrics: dict[str, Any], cwd: str | None) -> None:
    checkpoint = metrics.pop(CHECKPOINT_KEY, None)
    if isinstance(checkpoint, str):
        report(metrics, checkpoint=Path(cwd or ".", checkpoint))
    else:
        report(metrics)


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a command and what it has started."""
    try:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _how_it_ended(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    return f"was killed by {name}" + (" (out of memory, perhaps)" if -code == signal.SIGKILL else "")


class _Tail:
    """Passes a command's stderr on and keeps its last lines."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        self._lines: deque[str] = deque(maxlen=TAIL)
        assert stream is not None
        self._stream = stream
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        """What it said last, for an error message."""
        return ". It said last:\n" + "".join(self._lines).rstrip() if self._lines else ""

    def join(self) -> None:
        """Wait until everything has been passed on; not for long where a grandchild holds the stream open."""
        self._thread.join(1.0)

    def _follow(self) -> None:
        for line in self._stream:
            text = line.decode(errors="replace")
            self._lines.append(text)
            sys.stderr.write(text)
        sys.stderr.flush()
