"""Tune a network on scikit-learn's handwritten digits: ASHA against the same configs trained to the end.

48 configs, each trained for up to 27 epochs. With ASHA the bad ones stop early; without it every one gets all of its
epochs. Prints what each found and what it cost.
"""

import argparse
import time
from tempfile import mkdtemp

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

import tunesmith as tune

SPACE = {
    "learning_rate": tune.loguniform(1e-5, 1e-1),
    "units": tune.lograndint(8, 257),
    "alpha": tune.loguniform(1e-6, 1e-1),
    "batch_size": tune.choice([16, 32, 64, 128]),
}


def train(config, data, epochs):
    """Train for some epochs; report the validation accuracy after each."""
    x_train, x_valid, y_train, y_valid = data
    model = MLPClassifier(
        hidden_layer_sizes=(config["units"],),
        learning_rate_init=config["learning_rate"],
        alpha=config["alpha"],
        batch_size=config["batch_size"],
        random_state=0,
    )
    for _ in range(epochs):
        model.partial_fit(x_train, y_train, classes=range(10))
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

    found = {}
    for name, scheduler in {"asha": tune.ASHAScheduler(max_t=options.epochs, reduction_factor=3), "full": None}.items():
        started = time.perf_counter()
        results = tune.run(
            trainable,
            space=SPACE,
            metric="accuracy",
            mode="max",
            num_samples=options.configs,
            scheduler=scheduler,
            searcher="random",  # one that learns would not propose the same configs in both
            seed=1,
            name=f"digits_{name}",
            storage_path=storage,
            resume="auto",
        )
        if results.finished.reason == "interrupted":
            return
        epochs = sum(len(trial.history) for trial in results)
        found[name] = (results.best, epochs, time.perf_counter() - started)

    print("\nThe same configs on the handwritten digits, with early stopping and without:\n")
    print(f"{'':8}{'accuracy':>10}{'epochs':>9}{'seconds':>9}   best config")
    for name, (best, epochs, seconds) in found.items():
        shown = ", ".join(f"{key}={value:.3g}" for key, value in best.config.items())
        print(f"{name:8}{best.metrics['accuracy']:10.4f}{epochs:9d}{seconds:9.1f}   {shown}")
    (asha, asha_epochs, _), (full, full_epochs, _) = found["asha"], found["full"]
    print(
        f"\nASHA trained {asha_epochs} epochs instead of {full_epochs}, {1 - asha_epochs / full_epochs:.0%} less. "
        f"Its best accuracy is {asha.metrics['accuracy'] - full.metrics['accuracy']:+.4f} from that of all configs "
        f"trained to the end.\nResults: {storage}"
    )


if __name__ == "__main__":
    main()
