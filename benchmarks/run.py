"""Runs the benchmarks and prints their tables: `python -m benchmarks.run [NAMES] [--peers-python PATH] [--quick]`."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.figures import Figure, table
from benchmarks.subjects import Bench

BENCHMARKS = ("startup", "trials", "results", "scale", "simulated", "hang", "crash")

Measure = Callable[[Bench], list[Figure]]


def main(
    names: Sequence[str],
    measured: Callable[[str], tuple[Measure, str]],
    prog: str = "python -m benchmarks.run",
    description: str = "Tunesmith beside its peers.",
) -> int:
    """Run the benchmarks that the command line asks for; return the exit code.

    Args:
        names: What there are.
        measured: Returns how one of them is measured, and what that means in words.
        prog: What the help says the command is.
        description: What the help says it does.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(names)} (default: all)")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python in which the peers are installed")
    parser.add_argument("--quick", action="store_true", help="rough figures in a fraction of the time")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(names)):
        parser.error(f"there is no benchmark called {', '.join(unknown)}; there are {', '.join(names)}")

    # The path is short, because Ray puts sockets below it.
    with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as folder:
        bench = Bench(options.peers_python, Path(folder), options.quick)
        print(machine(), flush=True)
        figures = {name: shown(bench, name, *measured(name)) for name in options.names or names}
    if options.json:
        found = {name: [figure.as_json() for figure in of_one] for name, of_one in figures.items()}
        options.json.write_text(json.dumps({"machine": machine(), "figures": found}, indent=1), encoding="utf-8")
    missed = [figure.name for of_one in figures.values() for figure in of_one if figure.met is False]
    print(f"\n{len(missed)} target(s) missed: {'; '.join(missed)}" if missed else "\nEvery target is met.")
    return 1 if missed and options.check else 0


def shown(bench: Bench, name: str, measure: Measure, law: str) -> list[Figure]:
    """Run one benchmark, print its table and return its figures."""
    began, load = time.perf_counter(), os.getloadavg()[0]
    figures = measure(bench)
    about = f"{time.perf_counter() - began:.0f} s; load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"\n## {name}\n{law} ({about})\n\n{table(figures)}", flush=True)
    return figures


def of_module(name: str) -> tuple[Measure, str]:
    """Return how a module of this package measures, and its first line."""
    module = import_module(f"benchmarks.{name}")
    return module.measure, (module.__doc__ or "").splitlines()[0]


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main(BENCHMARKS, of_module))
