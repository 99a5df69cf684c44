"""Feeds a scheduler that pauses trials by hand: one report, one pause, one resume at a time."""

from random_runs import METRIC

from tunesmith.core.engine import fold
from tunesmith.core.events import (
    AttemptEnded,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialLaunched,
    TrialPaused,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Pause


class Curves:
    """Feeds events by hand to a scheduler whose trials all run at once."""

    def __init__(self, scheduler, *, trials=8, mode="max"):
        self.scheduler, self.experiment = scheduler, Experiment()
        self.feed(
            SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode=mode, trials_wanted=trials,
                          nodes=(Node("here", {"cpu": trials}),))
        )  # fmt: skip
        self.feed(Suggested(at=0.0, configs=({},) * trials))
        for trial in range(trials):
            self.launch(trial)

    def feed(self, event):
        fold([event], self.experiment, [self.scheduler])

    def launch(self, trial, attempt=1):
        self.feed(TrialLaunched(at=0.0, trial=trial, attempt=attempt, placement=Placement("here", {"cpu": 1})))

    def decide(self, trial, number, value=None, attempt=1, **metrics):
        """Let the trial report; return what the scheduler decides."""
        metrics |= {} if value is None else {METRIC: value}
        result = Reported(at=0.0, trial=trial, attempt=attempt, number=number, metrics=metrics, waits=True)
        self.feed(result)
        return self.scheduler.decide(result, self.experiment)

    def arrive(self, trial, number, value=None, attempt=1):
        """Let the trial report and do what the scheduler decides, down to the end of its attempt."""
        decision = self.decide(trial, number, value, attempt)
        assert isinstance(decision, Pause)
        self.feed(TrialPaused(at=0.0, trial=trial, reason=decision.reason))
        self.end(trial, attempt)

    def end(self, trial, attempt=1, outcome="halted"):
        self.feed(AttemptEnded(at=0.0, trial=trial, attempt=attempt, outcome=outcome))

    def choose(self):
        return self.scheduler.choose(self.experiment)

    def lease(self, trial):
        return self.scheduler.lease(self.experiment.trials[trial], self.experiment)
