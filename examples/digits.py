"""Tune a model on scikit-learn's handwritten digits: ASHA against the same configs trained to the end.

48 configs of a linear classifier, trained epoch by epoch with `partial_fit`. With ASHA the bad ones stop early; without
it every one gets its 27 epochs. Prints what each found and what it cost.
"""

import argparse
import time
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import tunesmith as tune

SPACE = {
    "eta0": tune.loguniform(1e-5, 1.0),
    "alpha": tune.loguniform(1e-7, 1.0),
    "loss": tune.choice(["hinge", "log_loss", "modified_huber", "squared_hinge"]),
    "average": tune.choice([False, True]),
}
CLASSES = np.arange(10)


def train(config, data, epochs):
    """Train for some epochs; report the validation accuracy after each."""
    x_train, x_valid, y_train, y_valid = data
    model = SGDClassifier(learning_rate="invscaling", power_t=0.25, random_state=0, **config)
    order = np.random.default_rng(0)
    for _ in range(epochs):
        # Each epoch sees the data eight times, in small batches and in a new order.
        for _ in range(8):
            for batch in np.array_split(order.permutation(len(x_train)), 20):
                model.partial_fit(x_train[batch], y_train[batch], classes=CLASSES)
        tune.report({"accuracy": model.score(x_valid, y_valid)})


def main():
    """Run both and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=48)
    parser.add_argument("--epochs", type=int, default=27)
    parser.add_argument("--storage", default=None, help="folder for the results; default: a temporary one")
    options = parser.parse_args()
    storage = options.storage or mkdtemp(prefix="tunesmith-demo-")

    x, y = load_digits(return_X_y=True)
    data = train_test_split(StandardScaler().fit_transform(x), y, test_size=0.3, random_state=0, stratify=y)
    trainable = tune.with_parameters(train, data=data, epochs=options.epochs)

    summary = {}
    schedulers = {"asha": tune.ASHAScheduler(max_t=options.epochs, reduction_factor=3), "full": None}
    for name, scheduler in schedulers.items():
        started = time.perf_counter()
        results = tune.run(
            trainable,
            space=SPACE,
            metric="accuracy",
            mode="max",
            num_samples=options.configs,
            scheduler=scheduler,
            seed=1,
            name=f"digits_{name}",
            storage_path=storage,
            resume="auto",
        )
        epochs = sum(len(trial.history) for trial in results)
        summary[name] = (results.best, epochs, time.perf_counter() - started)

    print("\nThe same configs on the handwritten digits, with early stopping and without:\n")
    print(f"{'':8}{'accuracy':>10}{'epochs':>9}{'seconds':>9}   best config")
    for name, (best, epochs, seconds) in summary.items():
        shown = ", ".join(f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in best.config.items())
        print(f"{name:8}{best.metrics['accuracy']:10.4f}{epochs:9d}{seconds:9.1f}   {shown}")
    (asha, asha_epochs, _), (full, full_epochs, _) = summary["asha"], summary["full"]
    print(
        f"\nASHA trained {asha_epochs} epochs instead of {full_epochs}: {1 - asha_epochs / full_epochs:.0%} of the compute "
        f"saved, for {full.metrics['accuracy'] - asha.metrics['accuracy']:+.4f} accuracy lost. Results: {Path(storage)}"
    )


if __name__ == "__main__":
    main()
