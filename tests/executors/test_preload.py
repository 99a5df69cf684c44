from __future__ import annotations

import functools
import json.decoder
import statistics
import sys
import types
import uuid as renamed

import pytest

from tunesmith.executors.preload import modules_to_preload


def in_main(source, **names):
    """Return what `source` defines as `trainable`, as if it stood in a script."""
    space = {"__name__": "__main__", **names}
    exec(source, space)  # noqa: S102
    return space["trainable"]


def test_a_function_of_a_module_needs_that_module():
    assert modules_to_preload(statistics.mean) == ["statistics"]


def test_a_function_of_a_script_needs_the_modules_its_code_names():
    trainable = in_main(
        "def trainable(config):\n    return helper(config)\n"
        "def helper(config):\n    return [renamed.uuid4() for _ in range(mean([1]))]\n"
        "def unrelated():\n    return types\n",
        renamed=renamed,
        mean=statistics.mean,
        types=types,
    )

    assert modules_to_preload(trainable) == ["statistics", "uuid"]


def test_imports_within_the_function_count_when_they_are_loaded():
    trainable = in_main(
        "def trainable(config):\n    import statistics\n    from json import decoder\n    import not_there_at_all\n"
    )

    assert modules_to_preload(trainable) == ["json", "json.decoder", "statistics"]


def test_closures_defaults_partials_methods_and_classes_are_looked_into():
    trainable = in_main(
        "class Base:\n    def setup(self):\n        return renamed.uuid4()\n"
        "class Model(Base):\n    def step(self, how=mean):\n        return decoder\n"
        "    @staticmethod\n    def other():\n        return types\n"
        "trainable = Model\n",
        renamed=renamed,
        mean=statistics.mean,
        decoder=json.decoder,
        types=types,
    )
    everything = ["json.decoder", "statistics", "types", "uuid"]

    assert modules_to_preload(trainable) == everything
    assert modules_to_preload(trainable().step) == everything
    assert modules_to_preload(functools.partial(in_main("trainable = lambda model: 0"), trainable)) == everything
    assert modules_to_preload(trainable()) == everything


def test_an_object_of_a_librarys_class_needs_its_module():
    trainable = in_main("trainable = lambda config: value", value=renamed.uuid4())

    assert modules_to_preload(trainable) == ["uuid"]


@pytest.mark.parametrize("name", ["jax", "tensorflow.python", "ray", "grpc"])
def test_packages_that_start_threads_are_left_to_the_workers(monkeypatch, name):
    module = types.ModuleType(name)
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, name, module)

    assert modules_to_preload(in_main("trainable = lambda config: module", module=module)) == []


def test_a_users_module_that_imports_such_a_package_is_left_too(monkeypatch):
    jax, mine = types.ModuleType("jax"), types.ModuleType("mine")
    mine.__spec__ = types.SimpleNamespace()
    mine.jax = jax
    monkeypatch.setitem(sys.modules, "mine", mine)

    assert modules_to_preload(in_main("trainable = lambda config: module", module=mine)) == []


def test_scripts_and_modules_made_by_hand_cannot_be_imported_again(monkeypatch):
    monkeypatch.setitem(sys.modules, "by_hand", types.ModuleType("by_hand"))

    assert modules_to_preload(in_main("trainable = lambda config: by_hand", by_hand=sys.modules["by_hand"])) == []
    assert "__main__" not in modules_to_preload(in_main("def trainable(config): return trainable"))
