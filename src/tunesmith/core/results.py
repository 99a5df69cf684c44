"""A result as the flat dict that people and their functions see."""

from __future__ import annotations

from typing import Any

from .events import Result


def result_dict(result: Result) -> dict[str, Any]:
    """Return a result's metrics together with its automatic fields; a reported metric wins over an automatic one."""
    fields: dict[str, Any] = {
        "trial_id": result.trial,
        "training_iteration": result.number,
        "time_total_s": result.elapsed,
        "done": False,
    }
    if "mean_loss" in result.metrics:
        fields["neg_mean_loss"] = result.value("neg_mean_loss")
    return {**fields, **result.metrics}
