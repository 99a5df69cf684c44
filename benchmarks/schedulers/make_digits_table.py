"""Trains small models on the handwritten digits and keeps their learning curves: `digits.npz`, beside this file.

`python -m benchmarks.schedulers.make_digits_table` makes the table anew, in some minutes on 2 cores. Every scheduler
can then be tried on the same trainings in seconds. Each epoch has its validation error and its CPU seconds.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import tunesmith as tune

TABLE = Path(__file__).with_name("digits.npz")
EPOCHS = 81
CONFIGS = 400
SPACE = {
    "learning_rate": tune.loguniform(1e-5, 1.0),
    "units": tune.lograndint(2, 257),
    "alpha": tune.loguniform(1e-7, 1.0),
    "batch_size": tune.choice([8, 16, 32, 64, 128, 256]),
    "solver": tune.choice(["sgd", "adam"]),
    "momentum": tune.uniform(0.0, 0.99),
    "activation": tune.choice(["relu", "tanh", "logistic"]),
}


def train(config: dict[str, Any]) -> None:
    """Train a network epoch by epoch; what diverges goes on with the error of guessing."""
    import warnings

    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    warnings.simplefilter("ignore")
    x, y = load_digits(return_X_y=True)
    x_train, x_valid, y_train, y_valid = train_test_split(x / 16, y, test_size=0.4, random_state=0)
    model = MLPClassifier(
        (config["units"],),
        activation=config["activation"],
        solver=config["solver"],
        learning_rate_init=config["learning_rate"],
        momentum=config["momentum"],
        alpha=config["alpha"],
        batch_size=config["batch_size"],
        random_state=0,
    )
    error = 0.9
    for _ in range(EPOCHS):
        began = time.process_time()
        try:
            model.partial_fit(x_train, y_train, classes=range(10))
            error = 1 - model.score(x_valid, y_valid)
        except ValueError:  # its weights are no numbers any more
            error = 0.9
        tune.report({"error": error, "seconds": time.process_time() - began})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=int, default=CONFIGS)
    parser.add_argument("--results", default="results", help="where the trainings' own results go")
    options = parser.parse_args()
    results = tune.run(
        train,
        space=SPACE,
        metric="error",
        mode="min",
        num_samples=options.configs,
        seed=0,
        name="digits_table",
        storage_path=options.results,
        resume="auto",
    )
    rows = [(trial.config, trial.history) for trial in results]
    table = tune.CurveTable(
        [
            {
                "config": config,
                "metrics": {"error": [row["error"] for row in history]},
                "seconds": [row["seconds"] for row in history],
            }
            for config, history in rows
        ],
        metric="error",
        mode="min",
    )
    table.save(TABLE)
    print(f"{len(results)} curves of {EPOCHS} epochs in {TABLE}: {TABLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
