import math
from collections import defaultdict

import pytest
from random_runs import METRIC, Run

from tunesmith.core.engine import fold
from tunesmith.core.events import (
    AttemptEnded,
    ExperimentCreated,
    Failure,
    Placement,
    Reported,
    SessionOpened,
    StopRequested,
    Suggested,
    TrialCompleted,
    TrialContinued,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, Decided, Exploit, Pause, Resume, Wait
from tunesmith.core.seeds import generator
from tunesmith.errors import ConfigError
from tunesmith.schedulers.multi_frequency import MultiFrequencyPBT
from tunesmith.schedulers.pb2 import PB2
from tunesmith.schedulers.pbt import PopulationBasedTraining
from tunesmith.space.domains import choice, randint, uniform

MUTATIONS = {"x": uniform(0, 30), "size": {"depth": randint(1, 9)}, "kind": ["a", "b", "c", "d"]}
SHAPES = [
    {"perturbation_interval": 4},
    {"perturbation_interval": 3, "burn_in_period": 7, "quantile_fraction": 0.5, "resample_probability": 0.0},
    {"perturbation_interval": 5, "quantile_fraction": 0.1, "perturbation_factors": [1.5, 0.5, 1.1]},
    {"perturbation_interval": 3.5, "time_attr": "time_total_s", "quantile_fraction": 0.3},
]


def config_of(draw, trial):
    return {"x": draw.uniform(0, 30), "size": {"depth": draw.randint(1, 8)}, "kind": draw.choice("abcd"), "n": trial}


def pbt(**options):
    options = {
        "time_attr": "training_iteration",
        "perturbation_interval": 4,
        "require_attrs": False,
        "hyperparam_mutations": MUTATIONS,
        **options,
    }
    return PopulationBasedTraining(**options)


def run_of(new, seed, **options):
    options = {"trials": 10, "slots": 3, "config_of": config_of, "persons": 0.01, "restarts": 0.01, **options}
    return Run(new(), seed, renew=new, **options).play()


# The rule, written again from the paper's algorithm and Ray Tune's description: slow, over all trials each time.


class Naive:
    """Follows a journal, and says at each judged result what is to happen."""

    def __init__(self, mode, *, perturbation_interval, synch=False, time_attr="training_iteration", burn_in_period=0,
                 quantile_fraction=0.25, resample_probability=0.25, perturbation_factors=(1.2, 0.8)):  # fmt: skip
        self.mode, self.interval, self.burn_in, self.q = mode, perturbation_interval, burn_in_period, quantile_fraction
        self.time_attr, self.synch = time_attr, synch
        self.p, self.factors = resample_probability, perturbation_factors
        self.experiment = Experiment()
        self.last, self.score, self.count = defaultdict(float), {}, defaultdict(int)
        self.over, self.clones, self.arrived = set(), set(), set()
        self.goal = max(perturbation_interval, burn_in_period)
        self.expected, self.actual = [], []
        self.now, self.start = {}, {}
        self.since = {}
        """Synchronous: the clones made since the last generation went on."""

    def time(self, number, elapsed):
        return number if self.time_attr == "training_iteration" else elapsed

    def follow(self, journal):
        for event in journal:
            self.before(event)
            self.experiment.apply(event)
            self.after(event)
        return self

    def before(self, event):
        if isinstance(event, TrialExploited) and event.source != event.trial:
            self.actual.append((event.trial, event.source, event.config))
            if not self.since:
                self.wanted = self.sources_for_all()  # as all were before anything was replaced
            self.since[event.trial] = (event.source, event.config)
        elif isinstance(event, TrialLaunched | TrialContinued) and event.trial in self.arrived:
            self.end_generation()

    def after(self, event):
        match event:
            case Reported() if event.trial not in self.clones:
                self.reported(event)
            case TrialExploited() if event.source != event.trial:
                self.clones.add(event.trial)
                self.last[event.trial] = self.time(event.number, event.elapsed)
                self.now[event.trial] = self.last[event.trial]
            case TrialLaunched():
                self.clones.discard(event.trial)
                trial = self.experiment.trials[event.trial]
                start = self.time(trial.number, trial.elapsed)
                self.start[event.trial] = (event.checkpoint, start)
                if start < self.last[event.trial] - self.interval:
                    self.last[event.trial] = start
            case TrialRequeued():
                self.over.discard(event.trial)
                self.arrived.discard(event.trial)
            case TrialStopped() | TrialCompleted() | TrialFailed():
                self.over.add(event.trial)
                self.arrived.discard(event.trial)
                self.score.pop(event.trial, None)

    def reported(self, event):
        trial, value = event.trial, event.metrics.get(METRIC)
        time = self.now[trial] = self.time(event.number, event.elapsed)
        due = self.goal if self.synch else max(self.last[trial] + self.interval, self.burn_in)
        if time < due or value is None or trial in self.arrived:
            return
        reward = value if self.mode == "max" else -value
        self.score[trial] = reward if math.isfinite(reward) else -math.inf
        self.count[trial] += 1
        if self.synch:
            self.arrived.add(trial)
            return
        self.last[trial] = time
        source = self.source_for(trial)
        if source is not None:
            self.expected.append((trial, source, self.config(trial, source)))

    def source_for(self, trial):
        # Best first; of equals the lower number is the better one.
        ranked = sorted(self.score, key=lambda each: (-self.score[each], each))
        size = math.ceil(round(len(ranked) * self.q, 6))
        if size > len(ranked) / 2:
            size = len(ranked) // 2
        if not size or trial not in ranked[-size:]:
            return None
        donors = [each for each in ranked[:size] if self.score[each] > -math.inf]
        able = [each for each in donors if self.leads_on(trial, self.experiment.trials[each])]
        draw = self.draw("exploit", trial)
        drawn = [donors[draw.randrange(len(donors))] for _ in range(32)] if able else []
        found = [each for each in drawn if each in able]
        return found[0] if found else draw.choice(able) if able else None

    def leads_on(self, trial, donor):
        if donor.checkpoint is None:
            return False
        start, began_at = self.start[trial]
        own = self.experiment.trials[trial].checkpoint
        kept = donor.checkpoints[donor.checkpoint]
        return (own is not None and own != start) or self.time(kept.number, kept.elapsed) > began_at

    def sources_for_all(self):
        return {trial: source for trial in self.arrived if (source := self.source_for(trial)) is not None}

    def end_generation(self):
        alive = {trial.id for trial in self.experiment.trials} - self.over
        assert alive == self.arrived, "it did not wait for everybody"
        assert len(self.experiment.trials) == self.experiment.trials_wanted
        wanted = self.wanted if self.since else self.sources_for_all()
        assert {trial: source for trial, (source, _) in self.since.items()} == wanted
        for trial, (source, config) in self.since.items():
            assert config == self.config(trial, source)
        self.goal = max(self.goal + self.interval, max(self.now[trial] for trial in alive))
        self.arrived.clear()
        self.since.clear()

    def draw(self, purpose, trial):
        return generator(self.experiment.seed, f"{purpose}/{trial}", self.count[trial])

    def config(self, trial, source):
        before = self.experiment.trials[source].config
        x, depth, kind = before["x"], before["size"]["depth"], before["kind"]
        draw = self.draw("explore/x", trial)
        if draw.random() < self.p:
            x = uniform(0, 30).sample(self.draw("resample/x", trial))
        else:
            x = min(max(x * draw.choice(self.factors), 0), 30)
        draw = self.draw("explore/size/depth", trial)
        if draw.random() < self.p:
            depth = randint(1, 9).sample(self.draw("resample/size/depth", trial))
        else:
            factor = draw.choice(self.factors)
            moved = round(depth * factor)
            if moved == depth:
                moved += 1 if factor > 1 else -1
            depth = min(max(moved, 1), 8)
        draw = self.draw("explore/kind", trial)
        if draw.random() < self.p:
            kind = draw.choice("abcd")
        else:
            kind = "abcd"[min(max("abcd".index(kind) + draw.choice([-1, 1]), 0), 3)]
        return {"x": x, "size": {"depth": depth}, "kind": kind, "n": before["n"]}


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_clones_are_those_of_the_naive_rule(shape, mode, values):
    clones = 0
    for seed in range(8):
        run = run_of(lambda: pbt(**shape), seed, mode=mode, values=values, holds=seed % 4 == 0, saves=seed % 3 > 0)

        naive = Naive(mode, **shape).follow(run.journal)

        assert naive.actual == naive.expected
        clones += len(naive.actual)
    assert clones > 20


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_synchronous_generation_waits_for_all_and_its_clones_are_those_of_the_naive_rule(shape, mode):
    clones = generations = 0
    for seed in range(8):
        run = run_of(lambda: pbt(synch=True, **shape), seed, mode=mode, holds=seed % 4 == 0, saves=seed % 3 > 0)

        naive = Naive(mode, synch=True, **shape).follow(run.journal)

        assert run.experiment.finished.reason == "completed"
        assert not naive.since or naive.arrived
        clones += len(naive.actual)
        generations += run.scheduler._generation
    assert clones > 10
    assert generations > 8


FAMILY = {
    "pbt": pbt,
    "synch": lambda: pbt(synch=True),
    "steps": lambda: pbt(time_attr="steps", perturbation_interval=12),
    "steps, all there": lambda: pbt(time_attr="steps", perturbation_interval=12, require_attrs=True),
    "pb2": lambda: PB2(time_attr="training_iteration", perturbation_interval=4, require_attrs=False,
                       hyperparam_bounds={"x": [0, 30]}),
    "mf_pbt": lambda: MultiFrequencyPBT(time_attr="training_iteration", perturbation_interval=3, require_attrs=False,
                                        frequencies=(1, 2), hyperparam_mutations=MUTATIONS),
}  # fmt: skip


def always_a_number(draw, running):
    return {METRIC: draw.random()}


@pytest.mark.parametrize("kind", FAMILY)
def test_every_random_run_ends_and_clones_are_sound(kind):
    for seed in range(2 if kind == "pb2" else 10):
        run = run_of(FAMILY[kind], seed, saves=seed % 3 > 0, value_of=always_a_number, slots=[1, 2, 7][seed % 3])

        assert run.experiment.finished.reason == "completed"
        live = set()
        experiment = Experiment()
        for event in run.journal:
            if isinstance(event, SessionOpened):
                live.clear()
            elif isinstance(event, TrialLaunched):
                assert event.trial not in live, "two attempts of a trial at once"
                live.add(event.trial)
            elif isinstance(event, AttemptEnded):
                live.discard(event.trial)
            elif isinstance(event, TrialExploited) and event.source != event.trial:
                source = experiment.trials[event.source]
                assert event.checkpoint is not None
                assert event.checkpoint in source.checkpoints
                assert not source.status.is_final
                assert 0 <= event.config["x"] <= 30
                if kind != "pb2":
                    assert event.config["kind"] in "abcd"
                    assert 1 <= event.config["size"]["depth"] <= 8
            experiment.apply(event)


@pytest.mark.parametrize("kind", FAMILY)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(kind):
    run = Run(FAMILY[kind](), 3, trials=8, slots=2, longest=14, config_of=config_of, persons=0.01, watch=True,
              value_of=always_a_number).play()  # fmt: skip
    assert any(isinstance(event, TrialExploited) for event in run.journal)
    folded, experiment = FAMILY[kind](), Experiment()

    for event, leases, chosen in zip(run.journal, run.leases, run.choices, strict=False):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
        assert folded.choose(experiment) == folded.choose(experiment) == chosen
    assert folded.warnings == run.scheduler.warnings
    assert folded.describe() == run.scheduler.describe()


# Single rules, on hand-made stories.


class Story:
    """Feeds events by hand; every trial reports with a checkpoint."""

    def __init__(self, scheduler, trials=4, *, wanted=None, objects=None, configs=None, checkpoints=True):
        self.scheduler, self.experiment, self.checkpoints = scheduler, Experiment(), checkpoints
        self.see(ExperimentCreated(at=0.0, name="story", seed=1, created=0.0))
        self.see(SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode="max",
                               trials_wanted=wanted or trials, objects=objects or {}))  # fmt: skip
        self.see(Suggested(at=0.0, configs=tuple(configs or ({"lr": 0.1 * (n + 1)} for n in range(trials)))))
        self.launch(*range(trials))

    def see(self, event):
        fold([event], self.experiment, [self.scheduler])

    def launch(self, *trials):
        for trial in trials:
            one = self.experiment.trials[trial]
            self.see(TrialLaunched(at=0.0, trial=trial, attempt=one.attempt + 1, checkpoint=one.checkpoint,
                                   placement=Placement("n", {})))  # fmt: skip

    def report(self, trial, number, value=None, **metrics):
        if value is not None:
            metrics[METRIC] = value
        attempt = self.experiment.trials[trial].attempt
        checkpoint = f"{trial}/{attempt}-{number}" if self.checkpoints else None
        result = Reported(at=0.0, trial=trial, attempt=attempt, number=number, metrics=metrics, waits=True,
                          checkpoint=checkpoint, elapsed=float(number))  # fmt: skip
        self.see(result)
        decision = self.scheduler.decide(result, self.experiment)
        assert decision == self.scheduler.decide(result, self.experiment)
        if isinstance(decision, Pause):
            self.see(TrialPaused(at=0.0, trial=trial, reason=decision.reason))
            self.end(trial)
        return decision

    def end(self, trial, outcome="halted"):
        self.see(AttemptEnded(at=0.0, trial=trial, attempt=self.experiment.trials[trial].attempt, outcome=outcome))

    def choose(self):
        return self.scheduler.choose(self.experiment)


def simple(**options):
    return PopulationBasedTraining(**{"time_attr": "training_iteration", "perturbation_interval": 5,
                                      "hyperparam_mutations": {"lr": uniform(0, 1)}, **options})  # fmt: skip


def test_one_of_the_worst_becomes_a_clone_of_one_of_the_best_and_the_reason_says_so():
    story = Story(simple(resample_probability=0))
    for trial, value in enumerate([0.5, 0.6, 0.9]):
        assert story.report(trial, 5, value) == CONTINUE

    decision = story.report(3, 5, 0.1)

    assert isinstance(decision, Exploit)
    assert decision.source == 2
    assert decision.config["lr"] in (pytest.approx(0.36), pytest.approx(0.24))
    assert decision.reason == (
        f"among the worst 1 of 4 trials (score 0.1); trial 2 (score 0.9) is better; lr 0.3 -> {decision.config['lr']:g}"
    )


def test_log_config_says_whether_the_reason_tells_what_changed():
    story = Story(simple(log_config=False))
    for trial, value in enumerate([0.9, 0.5, 0.6, 0.1]):
        decision = story.report(trial, 5, value)

    assert decision.reason == "among the worst 1 of 4 trials (score 0.1); trial 0 (score 0.9) is better"


def test_between_intervals_and_in_the_burn_in_nobody_is_judged():
    story = Story(simple(burn_in_period=8))

    leases = [story.scheduler.lease(story.experiment.trials[0], story.experiment)]
    for number in (5, 8, 10):
        assert story.report(0, number, 1.0) == CONTINUE
        leases.append(story.scheduler.lease(story.experiment.trials[0], story.experiment))

    assert leases == [8, 8, 13, 13]


def test_a_clone_is_judged_an_interval_after_its_sources_checkpoint():
    story = Story(simple())
    for trial, value in enumerate([0.5, 0.6, 0.1]):
        story.report(trial, 5, value)
    story.report(1, 10, 0.9)
    decision = story.report(2, 10, 0.1)
    story.see(TrialExploited(at=0.0, trial=2, source=1, config=decision.config, checkpoint="1/1-10", number=10))
    story.end(2)
    story.launch(2)

    assert story.scheduler.lease(story.experiment.trials[2], story.experiment) == 15


def test_a_trial_without_a_number_is_never_cloned():
    story = Story(simple())
    for trial in range(4):
        assert story.report(trial, 5, math.nan) == CONTINUE


def test_a_source_without_a_checkpoint_is_passed_over_and_one_warning_says_so():
    story = Story(simple(), checkpoints=False)
    for number in (5, 10):
        for trial, value in enumerate([0.9, 0.5, 0.6, 0.1]):
            assert story.report(trial, number, value) == CONTINUE

    (warning,) = story.scheduler.warnings
    assert warning.startswith("trial 0 is among the best and cannot be cloned, as it has no new checkpoint. Report one")


def test_those_that_are_over_are_neither_cloned_nor_counted():
    story = Story(simple())
    for trial, value in enumerate([0.9, 0.5, 0.6]):
        story.report(trial, 5, value)
    story.see(StopRequested(at=0.0, reason="a person", trial=0))
    story.see(TrialStopped(at=0.0, trial=0, reason="a person"))

    assert story.report(3, 5, 0.1).source == 2


def test_with_more_trials_than_slots_a_judged_trial_gives_its_place_away_and_the_last_goes_on():
    story = Story(simple(), trials=2)
    assert story.report(0, 5, 0.9) == CONTINUE  # nobody waits

    story = Story(simple(), trials=2, wanted=3)
    assert story.report(0, 5, 0.9) == Pause("lets others have its place")
    story.see(Suggested(at=0.0, configs=({"lr": 0.5},)))
    story.launch(2)
    assert story.choose() == Resume(0, "it is the furthest behind")
    assert isinstance(story.report(2, 5, 1.0), Pause)
    assert story.report(1, 4, 0.95) == CONTINUE
    assert story.choose() == Resume(0, "it is the furthest behind")


def test_a_trial_that_is_behind_all_that_wait_goes_on():
    story = Story(simple(), trials=2, wanted=3)
    story.report(0, 10, 0.9)
    story.see(Suggested(at=0.0, configs=({"lr": 0.5},)))
    story.launch(2)

    assert story.report(2, 5, 1.0) == CONTINUE


def test_missing_keys_are_drawn_before_a_trial_begins():
    scheduler = simple(hyperparam_mutations={"lr": uniform(0, 1), "net": {"kind": ["a", "b"]}})
    story = Story(scheduler, trials=1, configs=[{"lr": 0.3}], wanted=2)
    story.see(Suggested(at=0.0, configs=({"lr": 0.3},)))

    choice = story.choose()

    assert isinstance(choice, Decided)
    assert (choice.trial, choice.decision.source) == (1, 1)
    assert choice.decision.config["lr"] == 0.3
    assert choice.decision.config["net"]["kind"] in "ab"
    story.see(TrialExploited(at=0.0, trial=1, source=1, config=choice.decision.config))
    assert not isinstance(story.choose(), Decided)


def test_synchronously_all_wait_then_the_worst_are_cloned_then_all_go_on():
    story = Story(simple(synch=True))
    for trial, value in enumerate([0.9, 0.5, 0.6]):
        assert story.report(trial, 5, value) == Pause("waits for the others at training_iteration 5")
        assert story.choose() == Wait()
    story.report(3, 5, 0.1)

    choice = story.choose()
    assert (choice.trial, choice.decision.source) == (3, 0)
    story.see(TrialExploited(at=0.0, trial=3, source=0, config=choice.decision.config, checkpoint="0/1-5", number=5))
    assert story.choose() == Resume(0, "generation 1 was judged")
    story.launch(0)
    assert story.choose() == Resume(1, "it is the furthest behind")
    assert story.scheduler.lease(story.experiment.trials[3], story.experiment) == 10


@pytest.mark.parametrize("end", ["failed", "completed", "stopped"])
def test_synchronously_nobody_waits_for_a_trial_that_is_over(end):
    story = Story(simple(synch=True), trials=3)
    for trial, value in enumerate([0.9, 0.5]):
        story.report(trial, 5, value)
    story.end(2, "failed")
    match end:
        case "failed":
            story.see(TrialFailed(at=0.0, trial=2, failure=Failure("exit", "it is gone")))
        case "completed":
            story.see(TrialCompleted(at=0.0, trial=2))
        case "stopped":
            story.see(TrialStopped(at=0.0, trial=2, reason="a person"))

    assert isinstance(story.choose(), Decided)


def test_synchronously_a_standstill_is_broken_with_those_that_are_there():
    story = Story(simple(synch=True), trials=4, wanted=9)
    for trial, value in enumerate([0.9, 0.5, 0.6, 0.1]):
        story.report(trial, 5, value)

    choice = story.scheduler.unblock(story.experiment)
    assert (choice.trial, choice.decision.source) == (3, 0)
    story.see(TrialExploited(at=0.0, trial=3, source=0, config=choice.decision.config, checkpoint="0/1-5", number=5))
    assert story.scheduler.unblock(story.experiment) == Resume(0, "generation 1 was judged")


def test_a_result_that_lacks_the_metric_where_it_is_judged_is_an_error():
    story = Story(simple())
    story.report(0, 4, loss=1.0)

    with pytest.raises(ConfigError, match=r"trial 0 reported no 'score' at training_iteration 5.* it reported loss"):
        story.report(0, 5, loss=1.0)


def test_without_require_attrs_a_result_that_lacks_something_is_passed_over():
    story = Story(simple(require_attrs=False, time_attr="steps", perturbation_interval=100))
    assert story.scheduler.time_attr == "training_iteration"  # a worker refuses a report without its time
    for trial, value in enumerate([0.5, 0.6, 0.9]):
        assert story.report(trial, 5, value, steps=100) == CONTINUE

    assert story.report(3, 4, 0.1) == CONTINUE
    assert story.report(3, 5, steps=100) == CONTINUE
    assert story.report(3, 6, 0.1, steps=120).source == 2


def test_objects_of_the_space_are_chosen_by_what_they_are_and_others_never():
    class Adam:
        pass

    class Sgd:
        pass

    scheduler = simple(hyperparam_mutations={"optimizer": choice([Sgd, Adam, (1, 2)])}, resample_probability=1)
    configs = [{"optimizer": {"$object": "optimizer[0]"}} for _ in range(4)]
    story = Story(
        scheduler, configs=configs, objects={"optimizer[0]": "Adam", "optimizer[1]": "Sgd", "net[0]": "(1, 2)"}
    )
    seen = set()
    for number in range(5, 150, 5):
        for trial, value in enumerate([0.9, 0.5, 0.6, 0.1]):
            decision = story.report(trial, number, value)
        seen.add(decision.config["optimizer"]["$object"])

    assert seen == {"optimizer[0]", "optimizer[1]"}
    (warning,) = scheduler.warnings
    assert warning.startswith("'optimizer' has values that are no JSON values")


def test_an_empty_choice_of_mutations_is_warned_of():
    assert PopulationBasedTraining().warnings[0].startswith("hyperparam_mutations= is empty")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantile_fraction": 0.6}, "quantile_fraction=0.6 is above 0.5"),
        ({"quantile_fraction": -1}, "quantile_fraction=-1 is too small"),
        ({"perturbation_interval": 0}, "perturbation_interval=0 is too small"),
        ({"burn_in_period": -1}, "burn_in_period=-1"),
        ({"resample_probability": 1.5}, "resample_probability=1.5 is above 1"),
        ({"perturbation_factors": 1.2}, "perturbation_factors=1.2: give numbers"),
        ({"perturbation_factors": (0,)}, "perturbation_factors=0 is too small"),
        ({"custom_explore_fn": 3}, "custom_explore_fn=3 is not a function"),
        ({"hyperparam_mutations": [1]}, r"hyperparam_mutations=\[1\]: give a dict"),
        ({"hyperparam_mutations": {"lr": 0.1}}, r"hyperparam_mutations\['lr'\]=0.1 is neither a list"),
        ({"hyperparam_mutations": {"net": {"depth": []}}}, r"hyperparam_mutations\['net'\]\['depth'\]: "),
        ({"hyperparam_mutations": {"lr": uniform(2, 1)}}, r"hyperparam_mutations\['lr'\]: uniform\(2.0, 1.0\)"),
        ({"metric": "a"}, "without a mode"),
    ],
    ids=str,
)
def test_an_argument_that_makes_no_sense_is_refused(options, message):
    with pytest.raises(ConfigError, match=f"PopulationBasedTraining: .*{message}|{message}"):
        PopulationBasedTraining(**options)


def test_a_trial_that_has_saved_nothing_since_it_began_keeps_its_place():
    story = Story(simple(), trials=1, wanted=2, checkpoints=False)

    assert story.report(0, 5, 0.9) == CONTINUE
    assert story.report(0, 10, 0.9) == CONTINUE


def test_trials_that_save_too_seldom_are_not_put_back_for_ever():
    story = Story(simple())
    for trial, value in enumerate([0.5, 0.6, 0.9]):
        story.report(trial, 5, value)
    story.checkpoints = False
    decision = story.report(3, 5, 0.1)
    assert decision.source == 2  # it began before that checkpoint
    story.see(TrialExploited(at=0.0, trial=3, source=2, config=decision.config, checkpoint="2/1-5", number=5))
    story.end(3)
    story.launch(3)

    assert story.report(3, 10, 0.1) == CONTINUE
    story.checkpoints = True
    assert story.report(3, 15, 0.1).source == 2  # now it has something of its own to lose


def test_a_clone_of_an_old_checkpoint_does_not_come_before_its_source():
    story = Story(simple(), trials=2, wanted=3)
    story.report(0, 10, 0.9)  # pauses, as a new trial is to come
    story.see(Suggested(at=0.0, configs=({"lr": 0.5},)))
    story.see(TrialExploited(at=0.0, trial=1, source=0, config={"lr": 0.2}, checkpoint="0/1-10", number=10))
    story.end(1)
    story.launch(2)

    assert story.choose() == Resume(0, "it is the furthest behind")
