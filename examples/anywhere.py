"""One script for a laptop, a Ray cluster, Dask's workers and SLURM jobs: where it runs is no part of it.

    python anywhere.py                                                       # on this machine
    TUNESMITH_EXECUTOR=ray:address=auto python anywhere.py                   # on the Ray cluster that it belongs to
    TUNESMITH_EXECUTOR=slurm:jobs=8,cpus_per_job=4 python anywhere.py        # in SLURM's jobs

`deterministic=True` makes it the same trials everywhere, also when a learning searcher proposes them.
"""

import math
import random

import tunesmith as tune


def blobs():
    """Return 200 points of two overlapping clouds, each as (inputs, label)."""
    draw = random.Random(0)
    return [((1.0, draw.gauss(2 * label, 1.5), draw.gauss(0, 4)), label) for label in (0, 1) for _ in range(100)]


class LogisticRegression(tune.Trainable):
    """Tells two clouds of points apart; an epoch is a pass over the points in a random order."""

    def setup(self, config):
        self.points = blobs()
        self.weights = [0.0, 0.0, 0.0]

    def step(self):
        rate = self.config["rate"] / (1 + self.config["decay"] * self.iteration)
        for inputs, label in random.Random(self.iteration).sample(self.points, len(self.points)):
            error = label - self.probability(inputs)
            for place, value in enumerate(inputs):
                self.weights[place] += rate * (error * value - self.config["shrinkage"] * self.weights[place])
        likelihoods = (abs(1 - label - self.probability(inputs)) for inputs, label in self.points)
        return {"loss": -sum(math.log(max(each, 1e-12)) for each in likelihoods) / len(self.points)}

    def probability(self, inputs):
        score = sum(weight * value for weight, value in zip(self.weights, inputs, strict=True))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, score))))

    def save_checkpoint(self, folder):
        return {"weights": self.weights}

    def load_checkpoint(self, checkpoint):
        self.weights = checkpoint["weights"]


if __name__ == "__main__":
    results = tune.run(
        LogisticRegression,
        name="anywhere",
        space={
            "rate": tune.loguniform(1e-4, 1),
            "decay": tune.uniform(0, 1),
            "shrinkage": tune.loguniform(1e-5, 1e-1),
        },
        metric="loss",
        mode="min",
        searcher="tpe",
        scheduler=tune.PatienceRule(patience=3, min_delta=1e-4),
        stop={"training_iteration": 15},
        num_samples=16,
        checkpoint_freq=5,
        seed=1,
        deterministic=True,
    )
    print(f"best loss {results.best.metrics['loss']:.4f} with {results.best.config}")
