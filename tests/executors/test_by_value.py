from __future__ import annotations

import linecache
import pickle
import types

from tunesmith.executors.by_value import pickled


def sent(value):
    return pickle.loads(pickled(value, buffer_callback=lambda buffer: True))


def made(*, line=1):
    names = {}
    source = "\n" * (line - 1) + "def fails(config):\n    return [1 / zero for zero in [0]]"
    exec(compile(source, __file__, "exec"), names)  # noqa: S102
    return names["fails"]


def test_functions_keep_the_file_and_the_line_that_they_come_from():
    fails = made(line=30)
    assert (fails.__code__.co_filename, fails.__code__.co_firstlineno) == (__file__, 30)

    there = sent(fails)

    assert there is not fails
    inner = next(part for part in there.__code__.co_consts if isinstance(part, types.CodeType))
    for code in (there.__code__, inner):
        assert code.co_filename == __file__
    assert there.__code__.co_firstlineno == 30
    assert linecache.getline(there.__code__.co_filename, 1).startswith("from __future__")


def test_a_closure_takes_along_what_it_holds():
    rate, history = 0.5, []

    def train(config):
        history.append(rate * config["x"])
        return history

    assert sent(train)({"x": 4}) == [2.0]
    assert history == []


def test_code_that_no_compiler_made_is_sent_all_the_same():
    code = made().__code__
    rewritten = code.replace(co_consts=(*code.co_consts, Odd))

    there = sent(types.FunctionType(rewritten, {"__name__": "__main__"}))

    assert there.__code__.co_consts[-1] is Odd


class Odd:
    """A constant that marshal refuses."""
