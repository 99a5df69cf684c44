"""An experiment told by hand, event by event, to a searcher or only to `Known`."""

from __future__ import annotations

from tunesmith.core.events import (
    AttemptEnded,
    ExperimentCreated,
    Failure,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.searchers.known import Known
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space


class Told:
    def __init__(self, space, *, settings=None, metric="loss", mode="min", seed=0, total=None, more=()):
        self.space = Space(space)
        self.experiment = Experiment()
        self.searcher = None if settings is None else settings.bound_to(self.space, total or -1, seed)
        self.known = Known(Encoding(self.space))
        self.at = 0.0
        self.events = []
        self.tell(ExperimentCreated(at=0, name="told", seed=seed, created=0))
        nodes = (Node("here", {"cpu": 1e6}),)
        self.tell(
            SessionOpened(
                at=0,
                session=1,
                started=0,
                metric=metric,
                mode=mode,
                nodes=nodes,
                trials_wanted=total,
                more_objectives=tuple(more),
            )
        )

    def tell(self, event):
        self.events.append(event)
        self.experiment.apply(event)
        self.known.observe(event, self.experiment, self.experiment.objectives)
        if self.searcher is not None:
            self.searcher.observe(event, self.experiment)

    def suggest(self, *configs):
        """Propose configs (the searcher's next one, when none are given); they all begin. Return the first's number."""
        first = self.experiment.next_number
        if not configs:
            configs = self.searcher.suggest(1, self.experiment)
        self.tell(Suggested(at=self.tick(), configs=tuple(configs)))
        for trial in range(first, self.experiment.next_number):
            self.tell(TrialLaunched(at=self.at, trial=trial, attempt=1, placement=Placement("here", {"cpu": 1})))
        return first

    def report(self, trial, loss, *, number=None, waits=False, **metrics):
        number = self.experiment.trials[trial].number + 1 if number is None else number
        self.tell(
            Reported(
                at=self.tick(), trial=trial, attempt=1, number=number, metrics={"loss": loss, **metrics}, waits=waits
            )
        )

    def complete(self, trial, loss, **metrics):
        self.report(trial, loss, **metrics)
        self.tell(TrialCompleted(at=self.tick(), trial=trial))
        self.end(trial, "done")

    def stop(self, trial):
        self.tell(TrialStopped(at=self.tick(), trial=trial, reason="bad"))
        self.end(trial, "halted")

    def pause(self, trial, **more):
        self.tell(TrialPaused(at=self.tick(), trial=trial, **more))
        self.end(trial, "halted")

    def fail(self, trial, kind="exception"):
        failure = Failure(kind=kind, message="it broke")
        self.tell(TrialFailed(at=self.tick(), trial=trial, failure=failure))
        self.end(trial, "failed")

    def end(self, trial, outcome):
        self.tell(AttemptEnded(at=self.at, trial=trial, attempt=1, outcome=outcome))

    def history(self, total=None):
        return self.known.history(total)

    def tick(self):
        self.at += 1
        return self.at
