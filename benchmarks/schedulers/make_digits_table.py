"""Trains small models on the handwritten digits and keeps their learning curves: `digits.npz`, beside this file.

`python -m benchmarks.schedulers.make_digits_table` makes the table anew, in some minutes on 2 cores. Every scheduler
can then be tried on the same trainings in seconds. Each epoch has its validation error and its CPU seconds.
"""

import time
from pathlib import Path
from typing import Any

import tunesmith as tune
from benchmarks.schedulers.tables import make_table

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


if __name__ == "__main__":
    make_table(train, SPACE, "error", configs=CONFIGS, table=TABLE, about=__doc__)
