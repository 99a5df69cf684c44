import subprocess
import sys

import pytest

from tunesmith.errors import TuneError
from tunesmith.worker.failure import LONGEST_MESSAGE, LONGEST_TRACEBACK, diagnosed
from tunesmith.worker.session import report


class OutOfMemoryError(RuntimeError):
    """What torch calls its own."""


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


def caught(function, *args):
    try:
        function(*args)
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def fail(error):
    raise error


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("lr must be positive"), "exception", "ValueError: lr must be positive"),
        (ValueError(), "exception", "ValueError"),
        (KeyError("lr"), "exception", "KeyError: 'lr'"),
        (ValueError("first\n  second\tthird"), "exception", "ValueError: first second third"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (OutOfMemoryError("CUDA out of memory. Tried"), "out_of_memory", "OutOfMemoryError: CUDA out of memory. Tried"),
        (RuntimeError("CUDA out of memory."), "out_of_memory", "RuntimeError: CUDA out of memory."),
        (RuntimeError("RESOURCE_EXHAUSTED: 3 GB"), "out_of_memory", "RuntimeError: RESOURCE_EXHAUSTED: 3 GB"),
        (ValueError("the shop is out of memory"), "exception", "ValueError: the shop is out of memory"),
        (SystemExit(3), "exit", "SystemExit: the trial called sys.exit(3)"),
        (SystemExit("no data"), "exit", "SystemExit: no data"),
        (KeyboardInterrupt(), "exception", "KeyboardInterrupt"),
        (Unprintable(), "exception", "Unprintable: <its text could not be made>"),
        (ValueError("half \udc80"), "exception", "ValueError: half \\udc80"),
    ],
)
def test_a_failure_is_told_in_one_line(error, kind, message):
    found = diagnosed(caught(fail, error))

    assert (found.kind, found.message) == (kind, message)
    assert found.where.startswith("test_failure.py:")
    assert found.where.endswith(" in fail")
    assert "in fail" in found.traceback
    found.traceback.encode()


def test_a_long_message_is_cut():
    message = diagnosed(caught(fail, ValueError("x" * 10_000))).message

    assert len(message) == LONGEST_MESSAGE
    assert message.endswith("...")


def test_the_place_is_the_users_own_deepest_frame_not_a_librarys():
    import json

    found = diagnosed(caught(json.loads, "{"))

    assert found.where.startswith("test_failure.py:")
    assert found.where.endswith(" in caught")
    assert "json" in found.traceback


def test_the_place_skips_our_own_frames():
    found = diagnosed(caught(report))

    assert found.where.endswith(" in caught")
    assert found.message.startswith("TuneError: tune.report() was called outside a trial")
    assert "worker/session.py" not in found.traceback
    assert "in caught" in found.traceback


def test_our_frames_are_cut_from_causes_contexts_and_groups_too():
    def chained():
        try:
            report()
        except TuneError as error:
            raise ValueError("second") from error

    def grouped():
        raise ExceptionGroup("several", [caught(chained), caught(report)])

    found = diagnosed(caught(grouped))

    assert "The above exception was the direct cause" in found.traceback
    assert found.traceback.count("outside a trial") == 2
    assert "worker/session.py" not in found.traceback


def test_code_without_a_file_is_the_users():
    code = compile("def train():\n  1 / 0", "<stdin>", "exec")
    names: dict = {}
    exec(code, names)  # noqa: S102

    assert diagnosed(caught(names["train"])).where == "<stdin>:2 in train"


def test_without_a_frame_of_the_user_the_definition_is_named():
    error = caught(fail, ValueError("x")).with_traceback(None)

    assert diagnosed(error, defined_at="train.py:3 in train").where == "train.py:3 in train"
    assert diagnosed(error).where == ""


def test_a_huge_traceback_keeps_its_start_and_its_end():
    text = diagnosed(caught(fail, ValueError("start" + "x" * 100_000 + "the very end"))).traceback

    assert len(text) < LONGEST_TRACEBACK + 100
    assert text.startswith("Traceback (most recent call last)")
    assert "characters cut ..." in text
    assert text.endswith("the very end\n")


def test_endless_recursion_is_told_shortly():
    def endless():
        endless()

    found = diagnosed(caught(endless))

    assert found.message.startswith("RecursionError: maximum recursion depth exceeded")
    assert len(found.traceback) < 5_000


def test_frames_of_installed_packages_do_not_hide_the_users():
    script = (
        "import click\n"
        "from tunesmith.worker.failure import diagnosed\n"
        "def user():\n    click.IntRange(0, 1).convert('x', None, None)\n"
        "try:\n    user()\nexcept Exception as error:\n    print(diagnosed(error).where)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert told == "<string>:4 in user\n"
