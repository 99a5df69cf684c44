"""scikit-learn models on scikit-learn's own data, cross-validated for real; small enough for a few dozen milliseconds.

Each loss is continuous (log loss, or the mean squared error divided by the variance), so that two configs differ; a
config that fails to fit is as bad as guessing.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .spaces import Parameter, choice, real, whole

Made = tuple[tuple[Parameter, ...], Callable[[Mapping[str, Any]], float]]
FOLDS = 3


def _cross_validated(
    loader: str, rows: int, model: Callable[[Mapping[str, Any]], Any]
) -> Callable[[Mapping[str, Any]], float]:
    from sklearn import config_context, datasets
    from sklearn.base import is_classifier
    from sklearn.metrics import log_loss
    from sklearn.model_selection import KFold, StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    x, y = getattr(datasets, loader)(return_X_y=True)
    kept = np.random.default_rng(3).permutation(len(x))[:rows]
    x, y = StandardScaler().fit_transform(x[kept]), y[kept]
    is_classes = loader != "load_diabetes"
    folds = (StratifiedKFold if is_classes else KFold)(FOLDS, shuffle=True, random_state=0)
    parts = [(x[train], y[train], x[test], y[test]) for train, test in folds.split(x, y)]
    labels = np.unique(y)
    guessing = float(np.log(len(labels))) if is_classes else 1.0

    def loss(config: Mapping[str, Any]) -> float:
        found = []
        with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
            warnings.simplefilter("ignore")  # of fits that do not converge: their loss says it
            for train_x, train_y, test_x, test_y in parts:
                try:
                    fitted = model(config).fit(train_x, train_y)
                    if is_classifier(fitted):
                        found.append(log_loss(test_y, fitted.predict_proba(test_x), labels=labels))
                    else:
                        found.append(float(np.mean((fitted.predict(test_x) - test_y) ** 2) / np.var(y)))
                except (ValueError, FloatingPointError):
                    found.append(2 * guessing)
        value = float(np.mean(found))
        return min(value, 2 * guessing) if np.isfinite(value) else 2 * guessing

    return loss


class _SoftMargins:
    """A support vector classifier whose margins become probabilities by softmax: many times faster than Platt's."""

    _estimator_type = "classifier"

    def __init__(self, temperature: float, **arguments: Any) -> None:
        from sklearn.svm import SVC

        self.temperature = temperature
        self.machine = SVC(decision_function_shape="ovr", max_iter=2000, **arguments)

    def fit(self, x: Any, y: Any) -> "_SoftMargins":
        self.machine.fit(x, y)
        return self

    def __sklearn_tags__(self) -> Any:
        return self.machine.__sklearn_tags__()

    def predict_proba(self, x: Any) -> Any:
        margins = self.machine.decision_function(x)
        if margins.ndim == 1:
            margins = np.stack([-margins, margins], axis=1)
        scores = np.exp((margins - margins.max(axis=1, keepdims=True)) / self.temperature)
        return scores / scores.sum(axis=1, keepdims=True)


def _digits_svm() -> Made:
    parameters = (
        choice("kernel", ("rbf", "poly", "sigmoid")),
        real("C", 1e-3, 1e3, log=True),
        real("gamma", 1e-5, 1e1, log=True),
        real("temperature", 1e-2, 1e1, log=True),
        whole("degree", 2, 5, when=("kernel", "poly")),
        real("coef0", -2.0, 2.0),
    )

    def model(config: Mapping[str, Any]) -> Any:
        return _SoftMargins(**config)

    return parameters, _cross_validated("load_digits", 160, model)


def _cancer_pipeline() -> Made:
    parameters = (
        choice("model", ("svm", "neighbours", "logistic", "tree")),
        real("C", 1e-3, 1e3, log=True, when=("model", "svm")),
        real("gamma", 1e-5, 1e1, log=True, when=("model", "svm")),
        real("temperature", 1e-2, 1e1, log=True, when=("model", "svm")),
        whole("k", 1, 80, log=True, when=("model", "neighbours")),
        choice("weights", ("uniform", "distance"), when=("model", "neighbours")),
        choice("p", (1, 2, 3), when=("model", "neighbours")),
        real("strength", 1e-4, 1e3, log=True, when=("model", "logistic")),
        whole("depth", 1, 12, when=("model", "tree")),
        whole("leaf", 1, 60, log=True, when=("model", "tree")),
        choice("components", (5, 10, 20, 30)),
    )

    def model(config: Mapping[str, Any]) -> Any:
        from sklearn.decomposition import PCA
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.tree import DecisionTreeClassifier

        match config["model"]:
            case "svm":
                last: Any = _SoftMargins(config["temperature"], C=config["C"], gamma=config["gamma"])
            case "neighbours":
                last = KNeighborsClassifier(config["k"], weights=config["weights"], p=config["p"])
            case "logistic":
                last = LogisticRegression(C=config["strength"], max_iter=30)
            case _:
                last = DecisionTreeClassifier(
                    max_depth=config["depth"], min_samples_leaf=config["leaf"], random_state=0
                )
        return make_pipeline(PCA(config["components"], random_state=0), last)

    return parameters, _cross_validated("load_breast_cancer", 240, model)


def _wine_network() -> Made:
    parameters = (
        whole("width", 2, 64, log=True),
        choice("activation", ("relu", "tanh", "logistic")),
        real("alpha", 1e-6, 1e1, log=True),
        real("rate", 1e-4, 1.0, log=True),
        real("beta_1", 0.5, 0.99),
        whole("batch", 8, 64, log=True),
        whole("epochs", 1, 8),
    )

    def model(config: Mapping[str, Any]) -> Any:
        from sklearn.neural_network import MLPClassifier

        return MLPClassifier(
            (config["width"],), activation=config["activation"], alpha=config["alpha"], batch_size=config["batch"],
            learning_rate_init=config["rate"], beta_1=config["beta_1"], max_iter=config["epochs"], random_state=0,
        )  # fmt: skip

    return parameters, _cross_validated("load_wine", 120, model)


def _diabetes_boosting() -> Made:
    parameters = (
        whole("trees", 2, 25, log=True),
        real("rate", 1e-3, 1.0, log=True),
        whole("depth", 1, 8),
        whole("leaf", 1, 60, log=True),
        real("subsample", 0.2, 1.0),
        real("features", 0.1, 1.0),
        choice("loss", ("squared_error", "huber")),
    )

    def model(config: Mapping[str, Any]) -> Any:
        from sklearn.ensemble import GradientBoostingRegressor

        return GradientBoostingRegressor(
            n_estimators=config["trees"], learning_rate=config["rate"], max_depth=config["depth"], loss=config["loss"],
            min_samples_leaf=config["leaf"], subsample=config["subsample"], max_features=config["features"],
            random_state=0,
        )  # fmt: skip

    return parameters, _cross_validated("load_diabetes", 200, model)


def _digits_forest() -> Made:
    parameters = (
        whole("trees", 2, 12),
        whole("depth", 2, 20),
        whole("leaf", 1, 20, log=True),
        real("features", 0.02, 1.0, log=True),
        choice("criterion", ("gini", "entropy")),
        choice("bootstrap", (True, False)),
        real("impurity", 1e-6, 1e-1, log=True),
    )

    def model(config: Mapping[str, Any]) -> Any:
        from sklearn.ensemble import ExtraTreesClassifier

        return ExtraTreesClassifier(
            config["trees"], max_depth=config["depth"], min_samples_leaf=config["leaf"], criterion=config["criterion"],
            max_features=config["features"], bootstrap=config["bootstrap"],
            min_impurity_decrease=config["impurity"], random_state=0,
        )  # fmt: skip

    return parameters, _cross_validated("load_digits", 400, model)


def _diabetes_pipeline() -> Made:
    parameters = (
        choice("model", ("kernel", "net", "svm")),
        real("alpha", 1e-4, 1e2, log=True, when=("model", "kernel")),
        real("gamma", 1e-4, 1e1, log=True, when=("model", "kernel")),
        choice("kernel", ("rbf", "laplacian", "poly"), when=("model", "kernel")),
        real("penalty", 1e-4, 1e1, log=True, when=("model", "net")),
        real("ratio", 0.0, 1.0, when=("model", "net")),
        real("C", 1e-2, 1e4, log=True, when=("model", "svm")),
        real("width", 1e-4, 1e1, log=True, when=("model", "svm")),
        real("epsilon", 1e-2, 1e2, log=True, when=("model", "svm")),
    )

    def model(config: Mapping[str, Any]) -> Any:
        from sklearn.kernel_ridge import KernelRidge
        from sklearn.linear_model import ElasticNet
        from sklearn.svm import SVR

        match config["model"]:
            case "kernel":
                return KernelRidge(alpha=config["alpha"], gamma=config["gamma"], kernel=config["kernel"])
            case "net":
                return ElasticNet(alpha=config["penalty"], l1_ratio=config["ratio"], max_iter=300)
        return SVR(C=config["C"], gamma=config["width"], epsilon=config["epsilon"])

    return parameters, _cross_validated("load_diabetes", 300, model)


MODELS: dict[str, Callable[[], Made]] = {
    "digits-svm": _digits_svm,
    "cancer-pipeline": _cancer_pipeline,
    "wine-network": _wine_network,
    "diabetes-boosting": _diabetes_boosting,
    "digits-forest": _digits_forest,
    "diabetes-pipeline": _diabetes_pipeline,
}
