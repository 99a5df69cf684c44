"""What every driver shares: it answers JSON lines on its standard input, `start`, `ask` and `tell`, until that ends.

A driver's `make(parameters, seed, budget, workers)` returns something with `ask() -> config` and `tell(number, loss)`,
where `number` counts the asked configs from 0. Standard library only.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from ..spaces import Config, Parameter


class Searching(Protocol):
    def ask(self) -> Config: ...
    def tell(self, number: int, loss: float) -> None: ...


Make = Callable[[Sequence[Parameter], int, int, int], Searching]


def serve(package: str, make: Make) -> None:
    """Answer until the standard input ends. What the package prints goes to the standard error output."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    searching: Searching | None = None
    for line in sys.stdin:
        message = json.loads(line)
        began = time.process_time()
        try:
            if find_spec(package) is None:
                answer: dict[str, Any] = {"missing": f"{package} is not installed"}
            elif message["do"] == "start":
                parameters = [Parameter.from_json(found) for found in message["parameters"]]
                searching = make(parameters, message["seed"], message["budget"], message["workers"])
                answer = {}
            elif message["do"] == "ask":
                assert searching is not None, "start comes first"
                answer = {"config": searching.ask()}
            elif message["do"] == "give":
                searching.give(message["config"], message["loss"])  # type: ignore[union-attr]
                answer = {}
            else:
                assert searching is not None, "start comes first"
                searching.tell(message["number"], message["loss"])
                answer = {}
        except Exception as error:
            answer = {"missing": f"{type(error).__name__}: {str(error)[:300]}"}
        # The first start pays for the imports; that is measured elsewhere.
        cpu = 0.0 if message["do"] == "start" else time.process_time() - began
        answers.write(json.dumps({**answer, "cpu": cpu}, default=_plain) + "\n")
        answers.flush()


def _plain(value: Any) -> Any:
    return value.item()  # numpy's numbers


def names(parameters: Sequence[Parameter]) -> list[str]:
    return [parameter.name for parameter in parameters]
