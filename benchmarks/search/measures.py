"""From runs to figures: regret beside random search's, mean ranks, and intervals by bootstrap over the seeds."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from .clock import Mode
from .problems import problem
from .records import Key, Record

FLOOR = 1e-3
"""No regret counts as less than this part of random search's: beyond it nobody cares, and a zero would decide alone."""
RANDOM = "random"


def optima(records: Mapping[Key, Record]) -> dict[str, float]:
    """Return each problem's smallest loss; where nobody knows it, the best that any of the runs has found."""
    found: dict[str, float] = {}
    for record in records.values():
        known = problem(record.problem).optimum
        best = min(record.losses) if known is None else known
        found[record.problem] = min(best, found.get(record.problem, best))
    return found


def regrets(records: Iterable[Record], at: int, optimum: float) -> NDArray[np.float64]:
    """Return the regret after `at` evaluations of each run, by seed."""
    ordered = sorted(records, key=lambda record: record.seed)
    return np.array([min(record.losses[:at]) - optimum for record in ordered])


Cell = tuple[str, Mode, int]
"""(problem, mode, evaluations so far)."""
Regrets = dict[str, NDArray[np.float64]]
"""Method -> its regrets, by seed."""


def cells(
    records: Mapping[Key, Record], methods: Sequence[str], points: Mapping[Mode, Sequence[int]]
) -> dict[Cell, Regrets]:
    """Return for each cell that random search has the regrets of every method that has it."""
    best = optima(records)
    runs: dict[tuple[str, Mode], dict[str, list[Record]]] = {}
    for record in records.values():
        if record.method in methods and (record.workers, record.budget) in points:
            by_method = runs.setdefault((record.problem, (record.workers, record.budget)), {})
            by_method.setdefault(record.method, []).append(record)
    return {
        (name, mode, at): {method: regrets(of_one, at, best[name]) for method, of_one in by_method.items()}
        for (name, mode), by_method in sorted(runs.items())
        for at in points[mode]
        if RANDOM in by_method
    }


def ratio(mine: NDArray[np.float64], randoms: NDArray[np.float64]) -> float:
    """Return the mean regret divided by random search's."""
    return max(float(mine.mean()) / max(float(randoms.mean()), 1e-300), FLOOR)


def geometric_mean_ratio(
    of_cells: Sequence[Mapping[str, NDArray[np.float64]]], method: str, *, draws: int = 400
) -> tuple[float, float, float]:
    """Return the geometric mean over cells of the regret divided by random's, and its 95% interval over seeds."""

    def once(rng: np.random.Generator | None) -> float:
        logs = []
        for cell in of_cells:
            mine, randoms = cell[method], cell[RANDOM]
            if rng is not None:
                mine, randoms = rng.choice(mine, len(mine)), rng.choice(randoms, len(randoms))
            logs.append(np.log(ratio(mine, randoms)))
        return float(np.exp(np.mean(logs)))

    rng = np.random.default_rng(5)
    drawn = [once(rng) for _ in range(draws)]
    return once(None), float(np.quantile(drawn, 0.025)), float(np.quantile(drawn, 0.975))


def mean_ranks(
    of_cells: Sequence[Mapping[str, NDArray[np.float64]]], methods: Sequence[str], *, draws: int = 400
) -> dict[str, tuple[float, float, float]]:
    """Return each method's mean rank by mean regret over the cells that all of them have, with its 95% interval."""
    shared = [cell for cell in of_cells if all(method in cell for method in methods)]

    def once(rng: np.random.Generator | None) -> NDArray[np.float64]:
        table = []
        for cell in shared:
            samples = [
                cell[method] if rng is None else rng.choice(cell[method], len(cell[method])) for method in methods
            ]
            floor = FLOOR * float(cell[RANDOM].mean())
            table.append(_ranks(np.array([max(float(sample.mean()), floor) for sample in samples])))
        return np.mean(table, axis=0) if table else np.full(len(methods), np.nan)

    rng = np.random.default_rng(5)
    drawn = np.array([once(rng) for _ in range(draws)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return {
        method: (float(m), float(a), float(b)) for method, m, a, b in zip(methods, once(None), low, high, strict=True)
    }


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ranks, 1 for the smallest; equal values share the mean of theirs."""
    less = (values[None, :] < values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return less + (equal + 1) / 2
