"""Boosts trees on the breast cancer data and keeps the learning curves: `cancer.npz`, beside this file.

`python -m benchmarks.search.make_cancer_table` makes the table anew, in some minutes. It is unlike the digits' table in
all that matters to a searcher: another model, other data, a smooth loss, curves that rise again where trees overfit,
and that cross, as a small learning rate needs many trees.
"""

import time
from pathlib import Path
from typing import Any

import tunesmith as tune
from benchmarks.schedulers.tables import make_table

TABLE = Path(__file__).with_name("cancer.npz")
EPOCHS = 81
TREES = 2
"""So many more in each epoch."""
FOLDS = 2
WORST_LOSS = 2.0
"""Of what diverges; guessing has 0.66."""
CONFIGS = 400
SPACE = {
    "learning_rate": tune.loguniform(1e-3, 2.0),
    "depth": tune.randint(1, 9),
    "min_samples_leaf": tune.lograndint(1, 65),
    "subsample": tune.uniform(0.1, 1.0),
    "max_features": tune.loguniform(0.03, 1.0),
    "criterion": tune.choice(["friedman_mse", "squared_error"]),
    "loss": tune.choice(["log_loss", "exponential"]),
}


def train(config: dict[str, Any]) -> None:
    """Add trees to a model of each fold, epoch by epoch; the loss is the mean logarithmic one on the other folds."""
    import warnings

    import numpy as np
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    warnings.simplefilter("ignore")
    x, y = load_breast_cancer(return_X_y=True)
    folds = list(StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, y))
    models = [
        GradientBoostingClassifier(
            loss=config["loss"],
            criterion=config["criterion"],
            learning_rate=config["learning_rate"],
            max_depth=config["depth"],
            min_samples_leaf=config["min_samples_leaf"],
            subsample=config["subsample"],
            max_features=config["max_features"],
            n_estimators=0,
            warm_start=True,
            random_state=0,
        )
        for _ in folds
    ]
    for _ in range(EPOCHS):
        began = time.process_time()
        losses = []
        for model, (fit, check) in zip(models, folds, strict=True):
            model.set_params(n_estimators=model.n_estimators + TREES)
            model.fit(x[fit], y[fit])
            losses.append(log_loss(y[check], np.nan_to_num(model.predict_proba(x[check]), nan=0.5)))
        loss = min(float(np.mean(losses)), WORST_LOSS)
        tune.report({"loss": round(loss, 5), "seconds": time.process_time() - began})


if __name__ == "__main__":
    make_table(train, SPACE, "loss", configs=CONFIGS, table=TABLE, about=__doc__)
