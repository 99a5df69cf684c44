"""What `experiment.json` tunes; run it with `tunesmith run experiment.json -m mean_accuracy --mode max`."""

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline


def train(config):
    """Return the accuracy of nearest neighbours on the digits' first principal components."""
    x, y = load_digits(return_X_y=True)
    model = make_pipeline(
        PCA(config["components"], random_state=0),
        KNeighborsClassifier(config["neighbours"], weights=config["weights"]),
    )
    return {"mean_accuracy": cross_val_score(model, x, y, cv=3).mean()}
