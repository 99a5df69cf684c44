"""A class trainable: training in steps, saved every few steps, and taken up again after a failure.

Every third trial has an accident on its way; `max_failures=1` lets it go on from its last checkpoint.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tunesmith as tune


class SoftmaxRegression(tune.Trainable):
    """Handwritten digits by softmax regression, one pass over the data per step."""

    def setup(self, config):
        x, y = load_digits(return_X_y=True)
        self.x, self.x_valid, self.y, self.y_valid = train_test_split(x / 16, y, test_size=0.3, random_state=0)
        self.weights = np.zeros((x.shape[1], 10))
        self.velocity = np.zeros_like(self.weights)
        self.fails = config["fails"]

    def step(self):
        order = np.random.default_rng(self.iteration).permutation(len(self.x))
        for batch in np.array_split(order, 20):
            x, y = self.x[batch], self.y[batch]
            scores = np.exp(x @ self.weights - (x @ self.weights).max(axis=1, keepdims=True))
            probabilities = scores / scores.sum(axis=1, keepdims=True)
            gradient = x.T @ (probabilities - np.eye(10)[y]) / len(batch)
            self.velocity = self.config["momentum"] * self.velocity - self.config["lr"] * gradient
            self.weights += self.velocity
        failed_before = Path(self.logdir, "failed_once")
        if self.fails and self.iteration == 5 and not failed_before.exists():
            failed_before.touch()
            raise RuntimeError("an accident")
        accuracy = np.mean((self.x_valid @ self.weights).argmax(axis=1) == self.y_valid)
        return {"accuracy": accuracy}

    def save_checkpoint(self, checkpoint_dir):
        np.savez(Path(checkpoint_dir, "model.npz"), weights=self.weights, velocity=self.velocity)

    def load_checkpoint(self, checkpoint_dir):
        with np.load(Path(checkpoint_dir, "model.npz")) as saved:
            self.weights, self.velocity = saved["weights"], saved["velocity"]


def main():
    """Tune, then load the best model back."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--storage", default="results")
    options = parser.parse_args()

    results = tune.run(
        SoftmaxRegression,
        space={
            "lr": tune.loguniform(1e-3, 10),
            "momentum": tune.uniform(0, 0.95),
            "fails": tune.grid_search([False, False, True]),
        },
        metric="accuracy",
        mode="max",
        num_samples=options.samples,
        stop={"training_iteration": options.steps},
        checkpoint_freq=2,
        checkpoint_at_end=True,
        max_failures=1,
        storage_path=options.storage,
    )
    best = results.best
    with np.load(Path(best.checkpoint, "model.npz")) as saved:
        print(f"weights of trial {best.id}: {saved['weights'].shape}, accuracy {best.metrics['accuracy']:.4f}")
    print("attempts of each trial:", *[trial.attempts for trial in results])


if __name__ == "__main__":
    main()
