"""Searchers that are led through a dialogue: optimizers whose state is more than what they were told.

Such a one (an evolution strategy, a local search) counts its own questions: asked in another order it says something
else. So the dialogue is written down as events tell it, who was suggested and who came to which end, and an optimizer
that begins anew is led through it again: it is asked for each trial in its turn, and told each end in its turn. What it
is told of a trial that was stopped early is the final loss that was predicted at that moment.

Where it would have said something else than what was tried (another searcher drove that session, a result came in while
it was thinking), it is told of that config as of one that somebody else proposed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..core.events import SessionOpened, Suggested, TrialCompleted, TrialExploited, TrialFailed, TrialStopped
from ..core.policy import Searcher
from ..core.seeds import derived_seed
from ..errors import ConfigError
from ..searchers.history import History
from ..searchers.learning import LearningSearcher
from ..space.placing import placed
from ..space.space import Space
from ..space.versions import own_part
from ..threads import one_thread
from .foreign import AdvisedSearcher, Adviser, ForeignSettings, quiet
from .plain import PlainSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.events import Event
    from ..core.experiment import Experiment

    FloatArray = NDArray[np.float64]
    Row = Sequence[float] | FloatArray

SAME = 1e-9
"""Coordinates nearer than that are the same: on the way through a config they were rounded."""


class Partner(ABC):
    """A foreign optimizer in a dialogue. Seeded when it is made, it must say the same whenever the dialogue is."""

    @abstractmethod
    def ask(self, number: int) -> tuple[Any, Row]:
        """Return by what the partner knows trial `number` (None: it proposes nothing), and where to look."""

    @abstractmethod
    def tell(self, token: Any, losses: Sequence[float]) -> None:
        """Take in what became of a trial that it had proposed."""

    @abstractmethod
    def inform(self, row: Row, losses: Sequence[float]) -> None:
        """Take in a trial that somebody else proposed."""

    def forget(self, token: Any) -> None:  # noqa: B027  most need not know
        """Learn that its proposal was not tried, or came to no end."""

    def inform_of(self, row: Row, state: str) -> None:
        """Take in a trial without losses: "FAIL" or "RUNNING". Only where a dialogue is not needed."""
        raise NotImplementedError(f"{type(self).__name__} remembers; see DialogueSettings.remembers")


class Retold(Adviser):
    """A partner who needs no dialogue: for each question a new one is told of all trials, by their numbers."""

    def __init__(self, settings: DialogueSettings, space: PlainSpace) -> None:
        self._settings, self._space = settings, space

    def advice(self, history: History, number: int, seed: int) -> Row:
        """Return where to look with trial `number`."""
        partner = self._settings.partner(self._space, seed, history.total, history.objectives.shape[1])
        for index in history.trials.argsort().tolist():
            partner.inform(history.points[index], history.objectives[index].tolist())
        for row in history.failed:
            partner.inform_of(row, "FAIL")
        for row in history.pending:
            partner.inform_of(row, "RUNNING")
        return partner.ask(number)[1]


@dataclass(frozen=True)
class _Asked:
    trial: int
    row: Row | None
    """What was tried; None: something outside the space."""


@dataclass(frozen=True)
class _Told:
    trial: int
    losses: tuple[float, ...] | None
    """None: it failed."""
    is_void: bool = False
    """Whether it says nothing of its config, because it goes on with another's weights."""


@dataclass(frozen=True, kw_only=True)
class _Heard(History):
    """A history, and what of the dialogue belongs to it."""

    length: int
    """How much has been written down."""
    targets: int
    """How many losses are told of each trial."""


class DialogueSearcher(LearningSearcher):
    """Proposes what a partner says."""

    default_initial_points = 0

    def __init__(self, settings: DialogueSettings, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self._settings = settings
        self._plain = PlainSpace(self.encoding)
        self._dialogue: list[_Asked | _Told] = []
        """What `observe` has written down. It only grows, so its beginning may be read in another thread."""
        self._asked = 0
        self._targets = 1
        self._follower: _Follower | None = None
        """A memo: a partner who has been led through a part of the dialogue."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn from an event, and write down who was suggested and who came to an end."""
        super().observe(event, experiment)
        if type(event) is SessionOpened:
            self._targets = max(1, len(self._own or experiment.objectives))
        elif type(event) is Suggested:
            for trial in experiment.trials[self._asked :]:
                own = own_part(self.space, trial.config)
                row = placed(self.encoding, own, seed=self.seed, number=trial.id)
                self._dialogue.append(_Asked(trial.id, row))
            self._asked = len(experiment.trials)
        elif isinstance(event, TrialCompleted | TrialStopped | TrialFailed):
            self._dialogue.append(_Told(event.trial, self._losses_of(event.trial)))
        elif type(event) is TrialExploited:
            self._dialogue.append(_Told(event.trial, None, is_void=True))

    def history(self) -> History:
        """Return what is known now."""
        known = super().history()
        parts = {field.name: getattr(known, field.name) for field in fields(known)}
        return _Heard(**parts, length=len(self._dialogue), targets=self._targets)

    def initial(self, history: History, number: int) -> Row | None:
        """Return where to look first; afterwards the partner is asked, even if nothing is known yet."""
        return super().initial(history, number) if number < self.initial_points else None

    def propose(self, history: History, number: int) -> Row:
        """Return what the partner says, after the dialogue so far."""
        assert isinstance(history, _Heard), "that is what `history` makes"
        if not self.encoding.width:
            return ()
        with quiet(self._settings.module), one_thread():
            if self._follower is None or not self._follower.can_follow(self._dialogue, history):
                self._follower = self._new_follower(history.targets)
            self._follower.follow(self._dialogue, history.length)
            return self._follower.answer(number)

    def _new_follower(self, targets: int) -> _Follower:
        seed = derived_seed(self.seed, self._settings.extra, 0, bits=32)
        partner = self._settings.partner(self._plain, seed, self.total, targets)
        return _Follower(self, partner, targets, max(self.initial_points, len(self._points)))

    def _losses_of(self, trial: int) -> tuple[float, ...] | None:
        import numpy as np

        history = self._known.history(self.total)
        (found,) = np.nonzero(history.trials == trial)
        return tuple(history.objectives[found[0]].tolist()) if len(found) else None


class _Follower:
    """A partner, and how far it has been led."""

    def __init__(self, searcher: DialogueSearcher, partner: Partner, targets: int, first: int) -> None:
        self._settle = searcher.encoding.settled
        self._partner = partner
        self._targets = targets
        self._first = first
        """The first trial that it is asked for."""
        self._position = 0
        self._asked = 0
        self._rows: dict[int, Row | None] = {}
        """Where each trial lies."""
        self._open: dict[int, tuple[Any, bool]] = {}
        """Trials that it was asked for and not told of yet -> by what it knows them, and whether they were tried."""
        self._ahead: dict[int, tuple[Any, Row]] = {}
        """What it has been asked before the dialogue said so."""
        self._worst: list[float] = []

    def can_follow(self, dialogue: Sequence[_Asked | _Told], heard: _Heard) -> bool:
        """Whether what it was asked ahead is what comes next."""
        if heard.length < self._position or heard.targets != self._targets:
            return False
        ahead = list(self._ahead)
        coming = dialogue[self._position : heard.length][: len(ahead)]
        return all(
            isinstance(entry, _Asked) and entry.trial == number for entry, number in zip(coming, ahead, strict=False)
        )

    def follow(self, dialogue: Sequence[_Asked | _Told], length: int) -> None:
        """Lead the partner on."""
        for entry in dialogue[self._position : length]:
            if isinstance(entry, _Asked):
                self._ask(entry)
            else:
                self._tell(entry)
        self._position = length

    def answer(self, number: int) -> Row:
        """Return what the partner says for trial `number`, all before it having been asked for."""
        for earlier in range(max(self._asked, self._first), number + 1):
            if earlier not in self._ahead:
                self._ahead[earlier] = self._partner.ask(earlier)
        return self._ahead[number][1]

    def _said(self, trial: int) -> tuple[Any, Row]:
        return self._ahead.pop(trial) if trial in self._ahead else self._partner.ask(trial)

    def _ask(self, entry: _Asked) -> None:
        import numpy as np

        self._asked = entry.trial + 1
        self._rows[entry.trial] = entry.row
        if entry.trial < self._first:
            return
        token, said = self._said(entry.trial)
        if token is None:
            return
        settled = self._settle(np.asarray(said, dtype=float)[None])[0]
        is_tried = entry.row is not None and np.allclose(settled, entry.row, rtol=0, atol=SAME, equal_nan=True)
        # That it was not is said when the trial ends: between two questions, it would depend on who asks ahead.
        self._open[entry.trial] = (token, is_tried)

    def _tell(self, entry: _Told) -> None:
        token, is_tried = self._open.pop(entry.trial, (None, False))
        row, losses = self._rows[entry.trial], entry.losses
        if losses is None and not entry.is_void:
            losses = tuple(self._worst)  # A failed trial is as bad as the worst one.
        if losses and len(losses) != self._targets:
            losses = None  # It is of a session that had other objectives.
        if losses:
            self._worst = [max(pair) for pair in zip(losses, self._worst or losses, strict=True)]
        if losses and is_tried:
            self._partner.tell(token, losses)
            return
        if token is not None:
            self._partner.forget(token)
        if losses and row is not None:
            self._partner.inform(row, losses)


@dataclass(frozen=True, kw_only=True)
class DialogueSettings(ForeignSettings, ABC):
    """What can be set of every searcher that is led through a dialogue."""

    n_initial_points: int | None = 0

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Searcher:
        """Return the searcher for a space.

        Raises:
            MissingExtra: The package is not installed.
            ConfigError: There are more points than trials, or the settings do not fit the package or the space.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        total = None if num_samples < 0 else num_samples
        with quiet(self.module):
            self.package()
            remembers = self.remembers
        searcher = DialogueSearcher(self, space, total, seed)
        if searcher.encoding.width:
            self._try(PlainSpace(searcher.encoding), total)
        return searcher if remembers else AdvisedSearcher(self, space, total, seed)

    def _try(self, space: PlainSpace, total: int | None) -> None:
        """Say at once what the optimizer says to the space."""
        try:
            with quiet(self.module):
                self.partner(space, 0, total, 1).ask(0)
        except ConfigError:
            raise
        except ValueError as error:
            raise ConfigError(f"{self._name} does not fit the space: {error}") from error

    @property
    def remembers(self) -> bool:
        """Whether the optimizer's state is more than what it was told; else it is asked anew each time."""
        return True

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked, where nothing is to be remembered."""
        return Retold(self, space)

    @abstractmethod
    def partner(self, space: PlainSpace, seed: int, total: int | None, objectives: int) -> Partner:
        """Return a new optimizer.

        Args:
            space: Of at least one parameter.
            seed: 32 bits; it makes all of its draws.
            total: How many trials there are to be; None without end.
            objectives: How many losses it is told of each trial.
        """
