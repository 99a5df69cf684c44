from pathlib import Path

import pytest

from tunesmith.core.events import AttemptEnded, CheckpointDropped, Placement, Reported, TrialExploited, TrialLaunched
from tunesmith.errors import JournalError
from tunesmith.layout import checkpoint_folder
from tunesmith.store.checkpoints import discard, prune


def checkpoint(folder: Path, trial: int, attempt: int, number: int) -> str:
    reference = checkpoint_folder(trial, attempt, number)
    (folder / reference / "deep").mkdir(parents=True)
    (folder / reference / "deep" / "model.bin").write_bytes(b"x" * 100)
    return reference


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_checkpoint_is_deleted_whole_and_the_others_stay(tmp_path: Path):
    first, second = checkpoint(tmp_path, 3, 1, 5), checkpoint(tmp_path, 3, 1, 10)

    discard(tmp_path, first)

    assert everything(tmp_path) == [f"{second}/deep/model.bin"]
    assert [path.name for path in (tmp_path / second).parent.iterdir()] == ["1-000010"]


def test_a_file_is_deleted_with_its_container(tmp_path: Path):
    discard(tmp_path, f"{checkpoint(tmp_path, 3, 1, 5)}/deep/model.bin")

    assert everything(tmp_path) == []


def test_a_checkpoint_that_is_gone_already_is_no_error(tmp_path: Path):
    discard(tmp_path, checkpoint_folder(3, 1, 5))


def test_a_discard_that_was_cut_off_can_be_done_again(tmp_path: Path):
    reference = checkpoint(tmp_path, 3, 1, 5)
    (tmp_path / f"{reference}.tmp-discarded").mkdir()
    (tmp_path / f"{reference}.tmp-discarded" / "rest").touch()

    discard(tmp_path, reference)

    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    "reference",
    ["", ".", "..", "/", "/etc", "trials", "trials/00001", "trials/00001/checkpoints", "trials/00001/checkpoints/",
     "trials/00001/checkpoints/..", "trials/00001/checkpoints/.", "trials/00001/checkpoints/../..",
     "trials/../precious/checkpoints/1-1", "../precious/checkpoints/1-1", "precious/checkpoints/1-1",
     "trials/00001/checkpoints/1-1\n", "trials//checkpoints/1-1", "/trials/00001/checkpoints/1-1",
     "trials/1/checkpoints/*", "journal.db", "trials/00001/checkpoints/1-000001.tmp"],
)  # fmt: skip
def test_a_reference_that_leads_elsewhere_is_refused(tmp_path: Path, reference: str):
    checkpoint(tmp_path, 1, 1, 1)
    (tmp_path / "precious" / "checkpoints" / "1-1").mkdir(parents=True)
    (tmp_path / "precious" / "checkpoints" / "1-1" / "file").touch()
    (tmp_path / "journal.db").touch()
    before = everything(tmp_path)

    with pytest.raises(JournalError, match="it was not deleted"):
        discard(tmp_path, reference)

    assert everything(tmp_path) == before


@pytest.mark.parametrize(
    "linked", ["trials", "trials/00001", "trials/00001/checkpoints", "trials/00001/checkpoints/1-000001"]
)
def test_a_link_out_of_the_experiment_is_not_followed(tmp_path: Path, linked: str):
    experiment, outside = tmp_path / "experiment", tmp_path / "outside"
    reference = checkpoint(outside, 1, 1, 1)
    (outside / f"{reference}.tmp").mkdir()
    (experiment / linked).parent.mkdir(parents=True)
    (experiment / linked).symlink_to(outside / linked)
    before = everything(outside)

    with pytest.raises(JournalError, match="replaced a folder by a link"):
        discard(experiment, reference)
    assert prune(experiment, [launched(1)]) == []

    assert everything(outside) == before
    assert (outside / f"{reference}.tmp").exists()


def test_an_experiment_that_is_reached_by_a_link_is_fine(tmp_path: Path):
    reference = checkpoint(tmp_path / "real", 1, 1, 1)
    (tmp_path / "link").symlink_to(tmp_path / "real")

    discard(tmp_path / "link", reference)

    assert everything(tmp_path / "real") == []


def test_what_a_crash_has_left_is_pruned_and_the_rest_stays(tmp_path: Path):
    good, unread, file = checkpoint(tmp_path, 1, 1, 1), checkpoint(tmp_path, 1, 1, 5), checkpoint(tmp_path, 1, 2, 2)
    dropped, unreported = checkpoint(tmp_path, 1, 1, 7), checkpoint(tmp_path, 1, 1, 8)
    other = checkpoint(tmp_path, 2, 1, 1)  # of a trial that was never launched: not looked at
    checkpoints = (tmp_path / good).parent
    outside = tmp_path / "outside"
    outside.mkdir()
    (checkpoints / ".1-000002.tmp").mkdir()
    (checkpoints / ".1-000002.tmp" / "half").touch()
    (checkpoints / "1-000003.tmp-discarded").mkdir()
    (checkpoints / "file.tmp").touch()
    (checkpoints / "link.tmp").symlink_to(outside)
    (checkpoints / "notes").touch()
    events = [
        launched(1),
        *(reported(1, reference) for reference in (good, unread, dropped)),
        CheckpointDropped(at=0, trial=1, checkpoint=unread, reason="it cannot be read"),
        CheckpointDropped(at=0, trial=1, checkpoint=dropped),
        AttemptEnded(at=0, trial=1, attempt=1, outcome="halted", checkpoint=f"{file}/deep"),
    ]

    pruned = {path.name for path in prune(tmp_path, events)}

    cut_off = {".1-000002.tmp", "1-000003.tmp-discarded", "file.tmp", "link.tmp"}
    assert pruned == cut_off | {Path(dropped).name, Path(unreported).name}
    kept = {Path(reference).name for reference in (good, unread, file)}
    assert {path.name for path in checkpoints.iterdir()} == kept | {"notes"}
    assert (tmp_path / other).exists()
    assert outside.exists()
    assert prune(tmp_path, events) == []


def test_beside_a_damaged_journal_no_whole_checkpoint_is_pruned(tmp_path: Path):
    unknown = checkpoint(tmp_path, 1, 1, 1)
    (tmp_path / unknown).with_name(".1-000002.tmp").mkdir()
    (tmp_path / "journal.damaged-1.db").touch()

    assert [path.name for path in prune(tmp_path, [launched(1)])] == [".1-000002.tmp"]
    assert (tmp_path / unknown).exists()


def launched(trial: int) -> TrialLaunched:
    return TrialLaunched(at=0, trial=trial, attempt=1, placement=Placement("here", {"cpu": 1}))


def reported(trial: int, reference: str) -> Reported:
    return Reported(at=0, trial=trial, attempt=1, number=1, metrics={}, checkpoint=reference)


def exploited(trial: int, source: int, checkpoint: str) -> TrialExploited:
    return TrialExploited(at=2.0, trial=trial, source=source, config={}, checkpoint=checkpoint)


def dropped(trial: int, checkpoint: str) -> CheckpointDropped:
    return CheckpointDropped(at=3.0, trial=trial, checkpoint=checkpoint)


@pytest.mark.parametrize(
    ("droppers", "is_deleted"), [((), False), ((0,), False), ((1,), False), ((0, 1), False), ((1, 0, 2), True)]
)
def test_what_a_clone_still_keeps_is_not_pruned(tmp_path: Path, droppers: tuple[int, ...], is_deleted: bool):
    shared = checkpoint(tmp_path, 0, 1, 3)
    placement = Placement("a", {"cpu": 1})
    events = [TrialLaunched(at=0.0, trial=trial, attempt=1, placement=placement) for trial in range(3)]
    events += [Reported(at=1.0, trial=0, attempt=1, number=3, metrics={}, checkpoint=shared)]
    events += [exploited(1, 0, shared), exploited(2, 1, shared)]

    pruned = prune(tmp_path, [*events, *(dropped(trial, shared) for trial in droppers)])

    assert (pruned == [tmp_path / shared]) == is_deleted
    assert bool(everything(tmp_path)) != is_deleted


def test_a_trial_that_is_its_own_source_keeps_its_checkpoint_once(tmp_path: Path):
    own = checkpoint(tmp_path, 0, 1, 3)
    events = [
        TrialLaunched(at=0.0, trial=0, attempt=1, placement=Placement("a", {"cpu": 1})),
        Reported(at=1.0, trial=0, attempt=1, number=3, metrics={}, checkpoint=own),
        exploited(0, 0, own),
    ]
    assert prune(tmp_path, events) == []

    assert prune(tmp_path, [*events, dropped(0, own)]) == [tmp_path / own]
