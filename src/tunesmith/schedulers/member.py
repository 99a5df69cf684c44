"""What a population-based scheduler remembers of one trial. Data only."""

from __future__ import annotations


class Member:
    """What is remembered of one trial."""

    __slots__ = (
        "baseline",
        "intervals",
        "is_lost",
        "judged",
        "judged_at",
        "lacks_metric",
        "loss",
        "source",
        "standing",
        "started_at",
        "started_from",
        "time",
    )

    def __init__(self) -> None:
        self.baseline: float | None = None
        """Its loss where its interval began: its own, or that of the trial it was cloned from."""
        self.time = 0.0
        """How far it is."""
        self.is_lost = False
        """Whether how far it is will be known only at its next result."""
        self.judged_at = 0.0
        """Its time when it was last judged, or at the checkpoint that it was cloned from."""
        self.intervals = 0
        """How often it was judged."""
        self.loss: float | None = None
        """What it was last judged by; lower is better."""
        self.judged: tuple[int, int] | None = None
        """(attempt, number) of the result at which it was last judged."""
        self.source: int | None = None
        """Whom it is to become a clone of since then."""
        self.lacks_metric: tuple[int, int] | None = None
        """(attempt, number) of its newest result, if it was to be judged by that and lacked the metric."""
        self.started_at = 0.0
        """Its time when its newest attempt began."""
        self.started_from: str | None = None
        """The checkpoint that its newest attempt began from."""
        self.standing: tuple[float, int, int] | None = None
        """Its place in the line of those that may go on; None while it is not paused."""
