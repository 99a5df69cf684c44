"""What all workers of a session need, packed once: the trainable, its data, the objects of the space."""

from __future__ import annotations

import pickle
from typing import Any

from ..errors import ConfigError
from ..worker.wire import LARGE, LIMIT, Payload
from .base import Job
from .by_value import pickled


def packed(job: Job) -> tuple[Payload, list[Any]]:
    """Return what workers need of a job, and the large buffers in it, which travel uncopied."""
    trainable, of_trainable = _pickled(job.trainable, f"the trainable {job.trainable!r}")
    parameters, of_parameters = _pickled(dict(job.parameters), "the data given to with_parameters")
    objects, of_objects = _pickled(dict(job.objects), "an object in the search space")
    payload = Payload(
        trainable=trainable,
        parameters=parameters,
        objects=objects,
        buffers=(len(of_trainable), len(of_parameters), len(of_objects)),
        experiment=job.experiment,
        seed=job.seed,
        time_attr=job.time_attr,
        thresholds={name: float(value) for name, value in job.thresholds.items()},
        metric=job.metric,
        more_metrics=job.more_metrics,
        checkpoint_freq=job.checkpoint_freq,
        checkpoint_at_end=job.checkpoint_at_end,
        saves_when_waiting=job.saves_when_waiting,
        storage=job.storage,
    )
    return payload, [*of_trainable, *of_parameters, *of_objects]


def _pickled(value: Any, what: str) -> tuple[bytes, list[Any]]:
    buffers: list[Any] = []

    def takes(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= LARGE:
            buffers.append(view)
        return view.nbytes < LARGE

    try:
        data = pickled(value, buffer_callback=takes)
    except Exception as error:
        raise ConfigError(
            f"{what} cannot be sent to a worker process: {type(error).__name__}: {error}. "
            "Make such things (locks, open files, connections) inside the trainable."
        ) from error
    if max([len(data), *(buffer.nbytes for buffer in buffers)]) > LIMIT:
        raise ConfigError(f"{what} holds a piece of more than 4 GiB. Pass a path, and load the data in the trainable.")
    return data, buffers
