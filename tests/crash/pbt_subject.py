"""A population that the crash tests break: a small numpy model under PBT, as a function and as a class.

    python pbt_subject.py {"name": ..., "trainable": "descend", "synch": false, ...}

What is not listed in `main` goes to `tune.run` as it is. Each result carries the rates of all steps that have made the
model what it is (`trail`), clones' included, so that a checkpoint that is not the right one shows.
"""

import json
import sys
import time

import numpy as np

import tunesmith as tune

STEPS, INTERVAL, TRIALS = 16, 4, 8
DATA = np.random.default_rng(0)
INPUTS = DATA.standard_normal((64, 4))
TARGETS = INPUTS @ np.array([1.0, -2.0, 0.5, 3.0])


def descended(weights, rate):
    """Return the weights after one step of gradient descent."""
    return weights - rate * INPUTS.T @ (INPUTS @ weights - TARGETS) / len(INPUTS)


def result(weights, trail):
    """Return what a step reports."""
    return {"loss": float(np.mean((INPUTS @ weights - TARGETS) ** 2)), "trail": list(trail), "step": len(trail)}


def descend(config):
    """Train, each step with a checkpoint at the end of an interval."""
    weights, trail = np.zeros(4), []
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        saved = np.load(checkpoint / "model.npz")
        weights, trail = saved["weights"], saved["trail"].tolist()
    folder = tune.get_context().trial_folder / "state"
    folder.mkdir(exist_ok=True)
    while len(trail) < STEPS:
        time.sleep(config["seconds"])
        weights, trail = descended(weights, config["lr"]), [*trail, config["lr"]]
        saves = len(trail) % INTERVAL == 0
        if saves:
            np.savez(folder / "model.npz", weights=weights, trail=np.array(trail))
        tune.report(result(weights, trail), checkpoint=folder if saves else None)


class Descend(tune.Trainable):
    """The same as a class; PBT asks it for its checkpoints."""

    def setup(self, config):
        self.weights, self.trail = np.zeros(4), []

    def step(self):
        time.sleep(self.config["seconds"])
        self.weights, self.trail = descended(self.weights, self.config["lr"]), [*self.trail, self.config["lr"]]
        return {**result(self.weights, self.trail), "done": len(self.trail) >= STEPS}

    def save_checkpoint(self, folder):
        return {"weights": self.weights.tolist(), "trail": self.trail}

    def load_checkpoint(self, checkpoint):
        self.weights, self.trail = np.array(checkpoint["weights"]), checkpoint["trail"]


def scheduler(synch):
    """Return the scheduler under test."""
    return tune.PopulationBasedTraining(
        time_attr="training_iteration",
        perturbation_interval=INTERVAL,
        hyperparam_mutations={"lr": tune.loguniform(1e-3, 0.5)},
        synch=synch,
    )


def main(options):
    """Run the experiment that `options` describe."""
    config = {"lr": tune.loguniform(1e-3, 0.5), "seconds": 0.02, **options.pop("config")}
    trainable = {"descend": descend, "Descend": Descend}[options.pop("trainable")]
    defaults = {"metric": "loss", "mode": "min", "searcher": "random", "seed": 7, "cpus": 2, "resume": "auto"}
    defaults["num_samples"] = TRIALS
    return tune.run(
        trainable, space=config, scheduler=scheduler(options.pop("synch")), max_failures=5, **{**defaults, **options}
    )


if __name__ == "__main__":
    results = main(json.loads(sys.argv[1]))
    print(f"ended: {results.finished.reason}", flush=True)
