"""Makes the picture of README.md from a real run: `make docs`.

Tunes a classifier on the digits under ASHA and keeps the live display's last full screen and the summary as SVG.
"""

import io
import os
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from rich.console import Console
from rich.text import Text
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import tunesmith as tune
from tunesmith.callbacks.console import Display, screen, summary
from tunesmith.core.trial import Status

PICTURE = Path(__file__).resolve().with_name("display.svg")


class Photographer(Display):
    """Keeps the screen at about two thirds of the run, and the summary."""

    def __init__(self):
        self.picture = None
        self.console = Console(record=True, width=118, force_terminal=True, file=io.StringIO())

    def flush(self, experiment):
        """Take the picture once enough has happened."""
        snapshot = self.view.snapshot()
        if experiment.counts[Status.STOPPED] and snapshot.running and snapshot.done <= 0.7 * (snapshot.wanted or 1):
            self.picture = screen(snapshot)

    def close(self, experiment):
        """Draw both."""
        self.console.print(self.picture)
        self.console.print(Text("\n... and at the end:\n", style="dim"))
        self.console.print(summary(self.view.run, experiment))
        self.console.save_svg(str(PICTURE), title="tunesmith")


def train(config, data):
    x_train, x_valid, y_train, y_valid = data
    model = SGDClassifier(learning_rate="invscaling", random_state=0, **config)
    order = np.random.default_rng(0)
    for _ in range(27):
        for batch in np.array_split(order.permutation(len(x_train)), 40):
            model.partial_fit(x_train[batch], y_train[batch], classes=np.arange(10))
        tune.report({"accuracy": model.score(x_valid, y_valid)})


if __name__ == "__main__":
    os.chdir(mkdtemp())
    x, y = load_digits(return_X_y=True)
    data = train_test_split(StandardScaler().fit_transform(x), y, test_size=0.3, random_state=0, stratify=y)
    tune.run(
        tune.with_parameters(train, data=data),
        space={
            "eta0": tune.loguniform(1e-5, 1.0),
            "alpha": tune.loguniform(1e-7, 1.0),
            "loss": tune.choice(["hinge", "log_loss", "modified_huber"]),
        },
        metric="accuracy",
        mode="max",
        num_samples=60,
        scheduler=tune.ASHAScheduler(max_t=27, reduction_factor=3),
        seed=1,
        name="digits",
        storage_path="results",
        verbose=0,
        callbacks=[Photographer()],
    )
    print(f"wrote {PICTURE}")
