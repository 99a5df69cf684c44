"""HyperBand's bookkeeping written again from Li et al. 2018, algorithm 1: slow, over the whole journal, from scratch.

What the paper leaves open (trials that fail, end, come late or are tried again, trials that never come) is written down
here a second time too, in the plainest way: after each event every bracket is looked through from its beginning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction

from tunesmith.core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    Reported,
    SessionOpened,
    SpaceExhausted,
    Suggested,
    TrialCompleted,
    TrialContinued,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)

NEUTRAL = AttemptStarted | AttemptEnded | CheckpointDropped
ENDING = TrialStopped | TrialCompleted | TrialFailed


def paper_table(max_t, eta):
    """[(number of trials, [milestones])] for s = s_max ... 0."""
    s_max = 0
    while Fraction(eta) ** (s_max + 1) <= Fraction(max_t):
        s_max += 1
    rows = []
    for s in range(s_max, -1, -1):
        n = math.ceil(Fraction(s_max + 1) * Fraction(eta) ** s / (s + 1))
        rows.append((n, [float(Fraction(max_t) / Fraction(eta) ** (s - i)) for i in range(s + 1)]))
    return rows


@dataclass
class Halving:
    """One bracket."""

    size: int
    milestones: list[float]
    entered: list[int] = field(default_factory=list)
    at: int = 0
    competing: set[int] = field(default_factory=set)
    there: dict[int, Reported] = field(default_factory=dict)
    is_closed: bool = False

    @property
    def may_take_in(self):
        return not self.is_closed and self.at == 0 and len(self.entered) < self.size


class Naive:
    """Follows a journal; `asks` are the questions that the scheduler answers, answered by the rule."""

    def __init__(self, *, max_t=81, reduction_factor=3, time_attr="training_iteration", stop_last_trials=True, mode):
        self.rows = paper_table(max_t, reduction_factor)
        self.eta, self.time_attr, self.mode = Fraction(reduction_factor), time_attr, mode
        self.stops_last = stop_last_trials
        self.brackets: list[Halving] = []
        self.status: dict[int, str] = {}
        self.home: dict[int, Halving] = {}
        self.lost: set[int] = set()
        self.through: set[int] = set()
        self.failed_at: dict[int, tuple[Halving, int]] = {}
        self.last: dict[int, Reported] = {}
        self.requeued_while_there: set[int] = set()
        self.wanted = None
        self.is_dry = False

    def follow(self, events: list[Event], index: int) -> None:
        """Take the event at `index`; `events` is the whole journal."""
        event = events[index]
        match event:
            case SessionOpened(trials_wanted=wanted):
                self.wanted, self.is_dry = wanted, False
            case SpaceExhausted():
                self.is_dry = True
            case Suggested(configs=configs):
                for _ in configs:
                    self.status[len(self.status)] = "pending"
                    self.enter(len(self.status) - 1)
            case Reported(trial=trial):
                self.last[trial] = event
                if self.is_competing(trial) and not self.ended_by(events, index):
                    self.arrive(self.home[trial], trial, event)
            case TrialLaunched(trial=trial) | TrialContinued(trial=trial):
                bracket = self.home[trial]
                if trial in self.lost:
                    self.lost.discard(trial)
                    bracket.competing.add(trial)
                    self.arrive(bracket, trial, self.last[trial])
                elif trial in bracket.there and bracket.at == 0 and trial not in self.requeued_while_there:
                    bracket.is_closed = True
                self.requeued_while_there.discard(trial)
                self.status[trial] = "running"
            case TrialPaused(trial=trial):
                self.status[trial] = "paused"
            case TrialRequeued(trial=trial):
                if self.status[trial] == "failed":
                    bracket, at = self.failed_at.pop(trial, (None, None))
                    if bracket is not None and bracket.at == at:
                        bracket.competing.add(trial)
                    else:
                        self.enter(trial)
                elif trial in self.home[trial].there:
                    self.requeued_while_there.add(trial)
                self.status[trial] = "pending"
            case TrialStopped(trial=trial) | TrialCompleted(trial=trial) | TrialFailed(trial=trial):
                bracket = self.home[trial]
                self.status[trial] = "failed" if isinstance(event, TrialFailed) else "over"
                if isinstance(event, TrialFailed) and trial not in self.lost:
                    self.failed_at[trial] = (bracket, bracket.at)
                bracket.competing.discard(trial)
                bracket.there.pop(trial, None)
                self.lost.discard(trial)
                self.through.discard(trial)
                self.requeued_while_there.discard(trial)
        for bracket in self.brackets:
            self.cut(bracket)

    def enter(self, trial):
        if not self.brackets or not self.brackets[-1].may_take_in:
            self.brackets.append(Halving(*self.rows[len(self.brackets) % len(self.rows)]))
        self.brackets[-1].entered.append(trial)
        self.brackets[-1].competing.add(trial)
        self.home[trial] = self.brackets[-1]

    def is_competing(self, trial):
        return trial in self.home[trial].competing and trial not in self.home[trial].there

    def ended_by(self, events, index):
        """Whether the same result ended its trial for another reason than its rank, before anybody acted on it."""
        trial = events[index].trial
        for event in events[index + 1 :]:
            if isinstance(event, NEUTRAL):
                continue
            if not isinstance(event, ENDING) or event.trial != trial:
                return False
            ranked_out = isinstance(event, TrialStopped) and event.reason.startswith("bracket ")
            return not ranked_out and not event_is_max_t(event)
        return False

    def arrive(self, bracket, trial, result):
        if self.time(result) is None or self.time(result) < bracket.milestones[bracket.at]:
            return
        if bracket.at < len(bracket.milestones) - 1:
            bracket.there[trial] = result
        else:
            bracket.competing.discard(trial)
            if self.stops_last:
                self.through.add(trial)

    def cut(self, bracket):
        more = not self.is_dry and (self.wanted is None or len(self.status) < self.wanted)
        while bracket.there and set(bracket.there) == bracket.competing and bracket.at < len(bracket.milestones) - 1:
            if bracket.may_take_in and more and bracket is self.brackets[-1]:
                return
            ranked = sorted(bracket.there, key=lambda trial: (self.loss(bracket.there[trial]), trial))
            best = ranked[: max(1, math.floor(len(ranked) / self.eta))]
            self.lost |= set(ranked) - set(best)
            results, bracket.there, bracket.competing = bracket.there, {}, set(best)
            bracket.at += 1
            for trial in best:
                self.arrive(bracket, trial, results[trial])
                if self.is_competing(trial):
                    self.arrive(bracket, trial, self.last[trial])

    def loss(self, result):
        value = result.metrics.get("loss")
        if value is None or not math.isfinite(value):
            return math.inf
        return value if self.mode == "min" else -value

    def time(self, result):
        if self.time_attr == "training_iteration":
            return result.number
        return result.elapsed if self.time_attr == "time_total_s" else result.metrics.get(self.time_attr)

    # What is to be answered.

    def waits(self, trial):
        return trial in self.home[trial].there

    def goes_on(self):
        """The paused trials that may go on, of the oldest bracket that has any."""
        for bracket in self.brackets:
            able = {t for t in self.home if self.home[t] is bracket and self.status[t] == "paused"}
            able -= self.lost | self.through | set(bracket.there)
            if able:
                return able
        return set()


def event_is_max_t(event):
    return isinstance(event, TrialCompleted) and event.reason.startswith("reached max_t")


def check_journal(events: list[Event], **shape) -> dict[str, int]:
    """Assert that each decision in the journal of one scheduler is the rule's; return how many of each there were."""
    naive, seen = Naive(**shape), dict.fromkeys(("pause", "stop", "go on", "through", "resume", "close"), 0)
    for index, event in enumerate(events):
        if isinstance(event, TrialLaunched | TrialContinued) and naive.status[event.trial] == "paused":
            if naive.waits(event.trial):
                bracket = naive.home[event.trial]
                assert not naive.goes_on(), "a bracket was closed although somebody could have gone on"
                assert bracket is naive.brackets[-1]
                assert bracket.may_take_in
                assert set(bracket.there) == bracket.competing
                losses = {trial: (naive.loss(result), trial) for trial, result in bracket.there.items()}
                assert losses[event.trial] == min(losses.values())
                seen["close"] += 1
            else:
                assert event.trial in naive.goes_on() or is_on_its_way_out(events, index, naive)
                seen["resume"] += 1
        if isinstance(event, TrialStopped) and event.reason.startswith("bracket "):
            assert event.trial in naive.lost
            seen["stop"] += 1
        if event_is_max_t(event):
            assert event.trial in naive.through
            seen["through"] += 1
        if isinstance(event, TrialPaused) and not event.interrupted:
            assert naive.waits(event.trial)
            seen["pause"] += 1
        naive.follow(events, index)
        if isinstance(event, Reported) and event.waits:
            following = next((e for e in events[index + 1 :] if not isinstance(e, NEUTRAL)), None)
            if isinstance(following, SessionOpened):
                continue  # The journal was cut before the answer.
            if not isinstance(following, TrialPaused | ENDING) or following.trial != event.trial:
                assert event.trial not in naive.lost | naive.through
                assert not naive.waits(event.trial)
                seen["go on"] += 1
    return seen


def is_on_its_way_out(events, index, naive):
    """Whether all in an older bracket that could go on have attempts that have not ended yet."""
    alive = set()
    for event in events[:index]:
        if isinstance(event, TrialLaunched):
            alive.add(event.trial)
        elif isinstance(event, AttemptEnded):
            alive.discard(event.trial)
    return naive.goes_on() <= alive
