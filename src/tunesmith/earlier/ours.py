"""An earlier experiment of our own, from its journal."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..analysis.results import labelled
from ..core.experiment import Experiment
from ..core.objective import Objective
from ..core.trial import Status
from ..places import found
from ..searchers.known import Known
from ..space.encoding import Encoding
from ..space.space import Space
from ..space.versions import known_objects, own_part
from ..store.reader import JournalReader
from .records import Found, lacks

FAILED = "failed"


def read_experiment(source: str, folder: str | os.PathLike[str], objectives: Sequence[Objective]) -> Found:
    """Return an experiment's trials. One that was stopped early counts with what its loss would have come to.

    Raises:
        ExperimentNotFound, JournalDamaged: There is none, or none that can be trusted.
    """
    experiment = Experiment(objectives[0])
    experiment.objectives = tuple(objectives)
    nothing = Space({})
    known = Known(Encoding(nothing))
    with JournalReader(found(folder)) as reader:
        labels = known_objects(reader.sessions())
        for _, event in reader.events():
            experiment.apply(event)
            known.observe(event, experiment, objectives)
    history = known.history(None)
    losses = dict(zip(history.trials.tolist(), history.objectives.tolist(), strict=True))
    result = Found(source)
    for trial in experiment.trials:
        config = labelled(own_part(nothing, trial.config), labels)
        why = FAILED if trial.status is Status.FAILED else lacks(objectives)
        result.add(config, losses.get(trial.id, [None]), why)
    return result
