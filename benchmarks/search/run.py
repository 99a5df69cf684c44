"""Runs the comparison and prints its tables: `python -m benchmarks.search.run --peers-python PATH --records FILE`.

What stands in the records is not run again, so a run that was cut off goes on, and a searcher that has changed is run
anew alone (`--methods gp auto --afresh gp auto`).
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from . import records
from .clock import Mode, mode
from .measures import RANDOM, Cell, Regrets, cells, geometric_mean_ratio, mean_ranks
from .methods import PEERS
from .problems import SUITES, problem, suite
from .records import Key, Record
from .running import run_missing

OURS = ("auto", "tpe", "gp", "cmaes", "forest")
MODES = ("1x100", "8x50")
READ_AT = (30, 50, 100, 200, 1000)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.run", description=__doc__)
    parser.add_argument("--methods", nargs="+", default=[RANDOM, *OURS, *PEERS])
    parser.add_argument("--problems", nargs="+", default=["core"], help="names, or a suite: core, held-out, bbob, full")
    parser.add_argument("--modes", nargs="+", default=list(MODES), help="WORKERSxEVALUATIONS; default: 1x100 8x50")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--records", type=Path, default=Path("search-records.jsonl"))
    parser.add_argument("--peers-python", action="append", default=[], help="PATH, or NAME=PATH for one peer")
    parser.add_argument("--afresh", nargs="+", default=[], help="methods whose records are run again")
    parser.add_argument("--report", action="store_true", help="run nothing: the tables of what stands in the records")
    options = parser.parse_args()
    problems = [one for name in options.problems for one in (suite(name) if name in SUITES else [name])]
    modes = [mode(text) for text in options.modes]
    known = records.read([options.records])
    if not options.report:
        kept = {key: record for key, record in known.items() if record.method not in options.afresh}
        failed = run_missing(
            options.methods, problems, modes=modes, seeds=range(options.seeds), path=options.records, known=kept,
            pythons=options.peers_python,
        )  # fmt: skip
        for (peer, name), reason in failed.items():
            print(f"{peer} has no run of {name}: {reason}")
        known = records.read([options.records])
    chosen = {key: one for key, one in known.items() if one.problem in problems and one.seed < options.seeds}
    print(report(chosen, options.methods, modes))
    return 0


def report(found: Mapping[Key, Record], methods: Sequence[str], modes: Sequence[Mode]) -> str:
    """Return the tables: over all problems, then problem by problem."""
    points = {one: [at for at in READ_AT if at <= one[1]] for one in modes}
    table = cells(found, methods, points)
    here = [method for method in methods if any(method in cell for cell in table.values())]
    if not here:
        return f"No tables: they begin with runs of {RANDOM!r}, and there are none of these problems and modes."
    return "\n\n".join([_summary(found, table, here, modes), *(_by_problem(table, here, one) for one in modes)])


def _summary(
    found: Mapping[Key, Record], table: Mapping[Cell, Regrets], methods: Sequence[str], modes: Sequence[Mode]
) -> str:
    # A method that misses many problems would shrink what all others are ranked over.
    most = max(sum(method in cell for cell in table.values()) for method in methods)
    ranked = [method for method in methods if sum(method in cell for cell in table.values()) == most]
    ranks = mean_ranks(list(table.values()), ranked)
    rows = [["method", *(f"{w} worker(s), {n} evaluations" for w, n in modes), "mean rank", "CPU ms", "seeds"]]
    for method in methods:
        row = [method]
        for one in modes:
            ends = [cell for (_, its, at), cell in table.items() if its == one and at == one[1] and method in cell]
            mean, low, high = geometric_mean_ratio(ends, method) if ends else (np.nan, np.nan, np.nan)
            row.append(f"{mean:.3f} [{low:.3f}, {high:.3f}] ({len(ends)})" if ends else "-")
        rank = ranks.get(method)
        row.append("-" if rank is None else f"{rank[0]:.2f} [{rank[1]:.2f}, {rank[2]:.2f}]")
        own = [record.cpu_ms for record in found.values() if record.method == method]
        row.append(f"{np.mean(own):.2f}")
        counts = [len(cell[method]) for cell in table.values() if method in cell]
        row.append(f"{min(counts)}-{max(counts)}" if min(counts) < max(counts) else f"{min(counts)}")
        rows.append(row)
    law = (
        "Geometric mean over problems of (mean regret / random search's mean regret), 95% interval by bootstrap over\n"
        "seeds, in brackets the number of problems; mean rank over problems x budgets x modes by mean regret."
    )
    return f"{law}\n\n{markdown(rows)}"


def _by_problem(table: Mapping[Cell, Regrets], methods: Sequence[str], one: Mode) -> str:
    rows = [[f"{one[0]} worker(s), {one[1]} evaluations", "kind", *methods]]
    for (name, of, at), cell in table.items():
        if of == one and at == one[1]:
            randoms = cell[RANDOM].mean()
            shown = [f"{cell[method].mean() / randoms:.3f}" if method in cell else "-" for method in methods]
            rows.append([name, problem(name).kind, *shown])
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    lines.insert(1, " | ".join("-" * width for width in widths))
    return "\n".join(f"| {line} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
