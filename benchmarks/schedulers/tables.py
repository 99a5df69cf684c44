"""Makes a table of real learning curves, by training configs that are drawn at random to the end."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tunesmith as tune


def make_table(
    train: Callable[[dict[str, Any]], None],
    space: Mapping[str, Any],
    metric: str,
    *,
    configs: int,
    table: Path,
    about: str | None,
) -> None:
    """Train, or go on with that, and write the table.

    Args:
        train: Reports `metric`, and the CPU time of the epoch as `seconds`.
        space: What is drawn from.
        metric: What the curves are of; lower is better.
        configs: How many, unless the command line says otherwise.
        table: The file.
        about: What the command line says of it.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--configs", type=int, default=configs)
    parser.add_argument("--results", default="results", help="where the trainings' own results go")
    options = parser.parse_args()
    results = tune.run(
        train,
        space=space,
        metric=metric,
        mode="min",
        searcher="random",
        num_samples=options.configs,
        seed=0,
        name=f"{table.stem}_table",
        storage_path=options.results,
        resume="auto",
    )
    curves = [
        {
            "config": trial.config,
            "metrics": {metric: [row[metric] for row in trial.history]},
            "seconds": [row["seconds"] for row in trial.history],
        }
        for trial in results
    ]
    tune.CurveTable(curves, metric=metric, mode="min").save(table)
    epochs = max(len(trial.history) for trial in results)
    print(f"{len(results)} curves of {epochs} epochs in {table}: {table.stat().st_size:,} bytes")
