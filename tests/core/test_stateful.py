"""Hypothesis plays executor, person and cluster: any event at any time, the core's commands obeyed or not."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tunesmith.core.commands import Suggest
from tunesmith.core.engine import Core, Limits, Step, fold
from tunesmith.core.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    Failure,
    Node,
    NodesChanged,
    Reported,
    SessionOpened,
    SpaceExhausted,
    StopRequested,
    Suggested,
)
from tunesmith.core.experiment import Experiment
from tunesmith.testing.invariants import Invariants
from tunesmith.testing.searcher import KeyedSearcher
from tunesmith.testing.state import state_of

from .policies import PassiveStopper, RandomScheduler

NODES = (Node("a", {"cpu": 2}), Node("b", {"cpu": 1}))
KINDS = ("exception", "lost", "checkpoint", "out_of_memory")


class AnyEvents(RuleBasedStateMachine):
    """The trials and attempts named are often the right ones, and often not."""

    @initialize(retries=st.integers(0, 2), wanted=st.integers(0, 6))
    def begin(self, retries, wanted):
        self.limits = Limits(max_failures=retries, report_timeout=20.0, trial_time=50.0, time_budget=200.0)
        self.wanted = wanted
        self.now = 0.0
        self.events: list[Event] = []
        self.open()

    def open(self):
        self.scheduler, self.watch = RandomScheduler(seed=1), Invariants(PassiveStopper(), max_failures=2)
        self.experiment = fold(self.events, Experiment(), (self.scheduler, self.watch))
        self.searcher = KeyedSearcher()
        self.core = Core(
            self.experiment,
            searcher=self.searcher,
            scheduler=self.scheduler,
            stopper=self.watch,
            limits=self.limits,
        )
        self.tell(
            SessionOpened(
                at=self.now, session=self.experiment.session + 1, started=0.0, nodes=NODES, trials_wanted=self.wanted
            )
        )

    def tell(self, *events):
        self.after(self.core.handle(*events))

    def after(self, step: Step):
        while step.events or step.commands:
            self.events += step.events
            self.watch.check_step(step, self.experiment)
            asked = [command for command in step.commands if isinstance(command, Suggest)]
            if not asked:
                break
            configs = tuple(self.searcher.suggest(asked[0].count, self.experiment))
            answer = Suggested(at=self.now, configs=configs) if configs else SpaceExhausted(at=self.now)
            step = self.core.handle(answer)

    def is_open(self):
        return self.experiment.finished is None

    @precondition(lambda self: self.is_open() and self.experiment.next_number)
    @rule(trial=st.integers(0, 6), off=st.sampled_from([0, 0, 0, 1]), step=st.integers(0, 2), waits=st.booleans(),
          checkpoint=st.booleans(), loss=st.sampled_from([0.1, 0.5, float("nan"), None]))  # fmt: skip
    def report(self, trial, off, step, waits, checkpoint, loss):
        trial = self.experiment.trials[trial % self.experiment.next_number]
        number, attempt = trial.number + step, max(1, trial.attempt - off)
        self.tell(
            Reported(
                at=self.now,
                trial=trial.id,
                attempt=attempt,
                number=number,
                metrics={"loss": loss},
                waits=waits,
                checkpoint=f"{trial.id}/{attempt}-{number}" if checkpoint else None,
            )
        )

    @precondition(lambda self: self.is_open() and self.experiment.next_number)
    @rule(trial=st.integers(0, 6), off=st.sampled_from([0, 0, 1]),
          outcome=st.sampled_from(["done", "halted", "failed", "killed", "lost"]),
          kind=st.sampled_from(KINDS))  # fmt: skip
    def end(self, trial, off, outcome, kind):
        trial = self.experiment.trials[trial % self.experiment.next_number]
        failure = Failure(kind, f"{kind}: x") if outcome in ("failed", "lost") else None
        attempt = max(1, trial.attempt - off)
        self.tell(AttemptEnded(at=self.now, trial=trial.id, attempt=attempt, outcome=outcome, failure=failure))

    @precondition(lambda self: self.is_open() and self.experiment.next_number)
    @rule(trial=st.integers(0, 6))
    def start(self, trial):
        trial = self.experiment.trials[trial % self.experiment.next_number]
        self.tell(AttemptStarted(at=self.now, trial=trial.id, attempt=trial.attempt, pid=1, host="a"))

    @precondition(is_open)
    @rule(trial=st.sampled_from([0, 1, 2, 3, 99]), now=st.booleans())
    def stop_one(self, trial, now):
        self.tell(StopRequested(at=self.now, reason="a person", trial=trial, now=now))

    @precondition(is_open)
    @rule(now=st.booleans())
    def stop_all(self, now):
        self.tell(StopRequested(at=self.now, reason="Ctrl-C", now=now))

    @precondition(is_open)
    @rule(count=st.integers(0, 2))
    def change_nodes(self, count):
        self.tell(NodesChanged(at=self.now, nodes=NODES[:count]))

    @precondition(is_open)
    @rule(seconds=st.sampled_from([0.5, 6.0, 25.0]))
    def let_time_pass(self, seconds):
        self.now += seconds
        deadline = self.core.next_deadline()
        if deadline is not None and deadline <= self.now:
            self.after(self.core.tick(self.now))
            assert (self.core.next_deadline() or self.now + 1) > self.now, "a deadline that is never met"

    @rule(more=st.integers(0, 2))
    def die_and_resume(self, more):
        self.wanted += more if self.wanted < 8 else 0
        self.open()

    @invariant()
    def the_fold_gives_this_very_state(self):
        scheduler = RandomScheduler(seed=1)
        folded = fold(self.events, Experiment(), (scheduler,))
        assert state_of(folded, (scheduler,)) == state_of(self.experiment, (self.scheduler,))

    @invariant()
    def a_session_ends_exactly_when_nothing_lives_and_nothing_can_start(self):
        if self.experiment.live:
            assert self.experiment.finished is None
        else:
            assert self.experiment.finished is not None

    def teardown(self):
        # The last fault has struck: every attempt ends, every wait is answered, and so the session ends.
        for _ in range(500):
            if not hasattr(self, "core") or not self.is_open():
                return
            number = next(iter(self.experiment.live))
            attempt = self.experiment.trials[number].attempt
            self.tell(AttemptEnded(at=self.now, trial=number, attempt=attempt, outcome="done"))
        raise AssertionError("it goes on for ever")


TestAnyEvents = AnyEvents.TestCase
TestAnyEvents.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
