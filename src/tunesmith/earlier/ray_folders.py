"""A results folder of Ray Tune: a folder per trial with `params.json` and `result.json`, as all its versions write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.objective import WORST, Objective
from ..searchers.fidelity import final_losses
from .records import Found, lacks

PARAMS, RESULTS = "params.json", "result.json"


def is_ray_folder(folder: Path) -> bool:
    """Whether a folder holds trials of Ray Tune."""
    return any(folder.glob(f"*/{PARAMS}"))


def read_ray_folder(source: str, folder: Path, objectives: Sequence[Objective]) -> Found:
    """Return the trials in a folder.

    Which trials were stopped early nobody has written down. So those that came as far as any count as they are, and the
    others with what their loss would have come to by then.
    """
    configs, curves = [], []
    for params in sorted(folder.glob(f"*/{PARAMS}")):
        configs.append(json.loads(params.read_text(encoding="utf-8")))
        curves.append(_curve(params.with_name(RESULTS), objectives))
    found = Found(source)
    for config, losses in zip(configs, _final(curves), strict=True):
        found.add(config, losses, lacks(objectives))
    return found


Curve = list[tuple[int, tuple[float, ...]]]
"""(training_iteration, losses) of each result."""


def _curve(file: Path, objectives: Sequence[Objective]) -> Curve:
    rows: Curve = []
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    for line in text.splitlines():
        try:
            result = json.loads(line)
        except ValueError:
            continue  # the last line of a trial that was killed while it wrote
        losses = tuple(_loss(result, objective) for objective in objectives)
        rows.append((int(result.get("training_iteration", len(rows) + 1)), losses))
    return rows


def _loss(result: Mapping[str, Any], objective: Objective) -> float:
    value = result.get(objective.metric)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < WORST:
        return WORST
    return float(-value if objective.mode == "max" else value)


def _final(curves: Sequence[Curve]) -> list[tuple[float, ...]]:
    """Return each trial's losses at the end: of one objective the best that it had, of several the last."""
    ends = [curve[-1][0] if curve else 0 for curve in curves]
    last = max(ends, default=0)
    losses = [_reached(curve) for curve in curves]
    final = {index: loss[0] for index, loss in enumerate(losses) if ends[index] == last and loss[0] < WORST}
    partial = {index: end for index, end in enumerate(ends) if 0 < end < last and losses[index][0] < WORST}
    rungs: dict[int, dict[int, float]] = {level: {} for level in set(partial.values())}
    for index, curve in enumerate(curves):
        for level, rung in rungs.items():
            if ends[index] >= level:
                rung[index] = _reached([row for row in curve if row[0] <= level])[0]
    predicted = final_losses(final, partial, rungs)
    return [(predicted[index][0], *loss[1:]) if index in predicted else loss for index, loss in enumerate(losses)]


def _reached(curve: Curve) -> tuple[float, ...]:
    if not curve:
        return (WORST,)
    if len(curve[0][1]) > 1:
        return curve[-1][1]
    return (min(losses[0] for _, losses in curve),)
