"""Who became a clone of whom, read from an experiment's events. Pure; knows no files."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .events import Config, Event, Suggested, TrialExploited


class Clone(msgspec.Struct, frozen=True, kw_only=True):
    """A trial became a clone: of another one, or with the trial itself as its source a config was changed."""

    order: int
    """Its place among all of them."""
    at: float
    trial: int
    source: int
    iteration: int
    """`training_iteration` of the source's checkpoint, from which the clone goes on."""
    checkpoint: str | None
    old_config: Config
    new_config: Config
    reason: str


class Step(msgspec.Struct, frozen=True):
    """From this iteration on a line of work had this config; it was done by this trial."""

    iteration: int
    trial: int
    config: Config


def clones(events: Iterable[Event]) -> list[Clone]:
    """Return all clones of an experiment, in their order."""
    return _read(events)[1]


def ancestry(events: Iterable[Event], trial: int) -> list[Step]:
    """Return the steps by which a trial came to where it is: its own, before them those of whom it was cloned from.

    The first step is at iteration 0. This is the schedule of configs that has made the trial what it is.
    """
    first, found = _read(events)
    by_trial: dict[int, list[Clone]] = {}
    for clone in found:
        by_trial.setdefault(clone.trial, []).append(clone)
    steps: list[Step] = []
    line, before = trial, len(found)
    while (own := [clone for clone in by_trial.get(line, ()) if clone.order < before]) and own[-1].checkpoint:
        steps.append(Step(own[-1].iteration, line, own[-1].new_config))
        line, before = own[-1].source, own[-1].order
    # Here the line of work began: with its first config, or with one that it was given before there was anything.
    steps.append(Step(0, line, own[-1].new_config if own else first[line]))
    # Of two steps at the same iteration the later one is what was trained with.
    latest = {step.iteration: step for step in reversed(steps)}
    return [latest[iteration] for iteration in sorted(latest)]


def _read(events: Iterable[Event]) -> tuple[list[Config], list[Clone]]:
    """Return the configs that the trials were suggested with, and all clones."""
    first: list[Config] = []
    now: list[Config] = []
    found: list[Clone] = []
    for event in events:
        if isinstance(event, Suggested):
            first += event.configs
            now += event.configs
        elif isinstance(event, TrialExploited):
            found.append(
                Clone(
                    order=len(found),
                    at=event.at,
                    trial=event.trial,
                    source=event.source,
                    iteration=event.number,
                    checkpoint=event.checkpoint,
                    old_config=now[event.trial],
                    new_config=event.config,
                    reason=event.reason,
                )
            )
            now[event.trial] = event.config
    return first, found
