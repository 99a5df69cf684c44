"""A script in the words of Tune's first releases, with Keras: only its import is another.

`train` takes a config and a reporter; a Keras callback calls the reporter after each epoch. The space is written in
bare lambdas and grids, and the experiment is an `Experiment` that `run_experiments` runs.
"""

import argparse
import os

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tunesmith as tune
from tunesmith.schedulers import AsyncHyperBandScheduler


class TuneCallback(keras.callbacks.Callback):
    """Reports after each epoch."""

    def __init__(self, reporter):
        super().__init__()
        self.reporter = reporter

    def on_epoch_end(self, epoch, logs=None):
        self.reporter(mean_accuracy=logs["val_accuracy"], timesteps_total=epoch + 1)


def train(config, reporter):
    x, y = load_digits(return_X_y=True)
    x_train, x_valid, y_train, y_valid = train_test_split(x / 16, y, test_size=0.3, random_state=0, stratify=y)
    model = keras.Sequential([keras.layers.Dense(32, activation="relu"), keras.layers.Dense(10, activation="softmax")])
    model.compile(
        loss="sparse_categorical_crossentropy",
        optimizer=keras.optimizers.SGD(learning_rate=config["lr"], momentum=config["momentum"]),
        metrics=["accuracy"],
    )
    model.fit(
        x_train,
        y_train,
        batch_size=64,
        epochs=config["epochs"],
        validation_data=(x_valid, y_valid),
        verbose=0,
        callbacks=[TuneCallback(reporter)],
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--storage", default="results")
    options = parser.parse_args()

    configuration = tune.Experiment(
        "early_tune_keras",
        run=train,
        trial_resources={"cpu": 1},
        stop={"mean_accuracy": 0.95},
        num_samples=options.samples,
        local_dir=options.storage,
        config={
            "lr": lambda spec: np.random.uniform(0.001, 0.1),
            "momentum": tune.grid_search([0.2, 0.4, 0.6]),
            "epochs": options.epochs,
        },
    )
    hyperband = AsyncHyperBandScheduler(
        time_attr="timesteps_total", reward_attr="mean_accuracy", max_t=options.epochs, grace_period=2
    )
    trials = tune.run_experiments(configuration, scheduler=hyperband, verbose=False)

    best = max(trials, key=lambda trial: trial.metrics["mean_accuracy"])
    print(f"best of {len(trials)}: {best.metrics['mean_accuracy']:.4f} with {best.config}")


if __name__ == "__main__":
    main()
