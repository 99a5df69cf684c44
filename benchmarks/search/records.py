"""What was run: a file of JSON lines, one a run. A run that stands there is not done again; lines are only added."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

Key = tuple[str, str, int, int, int]


@dataclass(frozen=True)
class Record:
    """One run of one method."""

    method: str
    problem: str
    workers: int
    budget: int
    seed: int
    losses: list[float]
    """In the order in which the evaluations ended."""
    cpu_ms: float
    """Per suggestion, all its own calls together."""

    @property
    def key(self) -> Key:
        return (self.method, self.problem, self.workers, self.budget, self.seed)


def read(paths: Iterable[Path]) -> dict[Key, Record]:
    """Return what the files hold; of two runs with the same key the later one."""
    found: dict[Key, Record] = {}
    for path in paths:
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                record = Record(**json.loads(line))
                found[record.key] = record
    return found


def add(path: Path, record: Record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    line = asdict(record) | {
        "losses": [float(f"{loss:.8g}") for loss in record.losses],
        "cpu_ms": round(record.cpu_ms, 4),
    }
    with path.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(line) + "\n")
