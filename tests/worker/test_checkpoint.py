import os
import sys
from pathlib import Path

import pytest

from tunesmith.errors import ReportError
from tunesmith.layout import checkpoint_folder
from tunesmith.worker.checkpoint import Checkpoint, commit, staged
from tunesmith.worker.manifest import MANIFEST

REFERENCE = checkpoint_folder(3, 1, 12)


@pytest.fixture
def experiment(tmp_path):
    folder = tmp_path / "experiment"
    folder.mkdir()
    return folder


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    (folder / "layers").mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"weights")
    (folder / "layers" / "0.bin").write_bytes(b"zero")
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_directorys_contents_go_right_into_the_checkpoints_folder(experiment, model):
    assert commit(str(model), experiment, REFERENCE) == REFERENCE

    assert files_of(experiment / REFERENCE) == {"weights.bin": b"weights", "layers/0.bin": b"zero"}


def test_a_file_goes_there_under_its_own_name(experiment, model):
    reference = commit(model / "weights.bin", experiment, REFERENCE)

    assert reference == f"{REFERENCE}/weights.bin"
    assert files_of(experiment / REFERENCE) == {"weights.bin": b"weights"}


def test_an_empty_directory_is_a_checkpoint(experiment, tmp_path):
    (tmp_path / "empty").mkdir()

    assert (experiment / commit(tmp_path / "empty", experiment, REFERENCE)).is_dir()


def test_a_checkpoint_that_was_given_back_can_be_reported_again(experiment, model):
    first = commit(model, experiment, REFERENCE)
    again = checkpoint_folder(3, 2, 13)

    assert commit(Checkpoint(experiment / first), experiment, again) == again
    assert files_of(experiment / again) == files_of(experiment / first)


def test_a_later_change_of_the_source_does_not_reach_the_checkpoint(experiment, model):
    commit(model, experiment, REFERENCE)
    (model / "weights.bin").write_bytes(b"newer")

    assert (experiment / REFERENCE / "weights.bin").read_bytes() == b"weights"


def test_nothing_temporary_stays_behind(experiment, model):
    commit(model, experiment, REFERENCE)

    assert [path.name for path in (experiment / REFERENCE).parent.iterdir()] == ["1-000012"]


def test_what_an_unsent_report_left_is_replaced(experiment, model):
    commit(model, experiment, REFERENCE)
    (model / "layers" / "0.bin").unlink()
    commit(model, experiment, REFERENCE)

    assert files_of(experiment / REFERENCE) == {"weights.bin": b"weights"}


def test_links_are_copied_as_what_they_point_to(experiment, model, tmp_path):
    (tmp_path / "elsewhere").write_bytes(b"far")
    (model / "link.bin").symlink_to(tmp_path / "elsewhere")
    (model / "linked").symlink_to(model / "layers", target_is_directory=True)
    commit(model, experiment, REFERENCE)

    assert files_of(experiment / REFERENCE)["link.bin"] == b"far"
    assert files_of(experiment / REFERENCE)["linked/0.bin"] == b"zero"
    assert not any(path.is_symlink() for path in (experiment / REFERENCE).rglob("*"))


def dangling(model, experiment):
    (model / "gone.bin").symlink_to(model / "nothing")
    return model


def circular(model, experiment):
    (model / "layers" / "up").symlink_to(model, target_is_directory=True)
    return model


def with_a_pipe(model, experiment):
    os.mkfifo(model / "pipe")
    return model


@pytest.mark.skipif(sys.platform == "win32", reason="links and pipes need POSIX")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda model, experiment: model / "nowhere", "there is nothing at"),
        (lambda model, experiment: "nowhere", "checkpoint='nowhere': there is nothing at /"),
        (lambda model, experiment: {"weights": 1}, "takes a path to a file or directory, not a dict. Save it to"),
        (lambda model, experiment: b"/tmp", "takes a path to a file or directory, not a bytes"),
        (lambda model, experiment: 3, "takes a path to a file or directory, not a int"),
        (lambda model, experiment: experiment, "is the trial's own folder or one above it"),
        (lambda model, experiment: experiment / "trials/00003", "is the trial's own folder or one above it"),
        (lambda model, experiment: experiment.parent, "would be copied into itself"),
        (dangling, "gone.bin, a link to nothing"),
        (circular, "a link to one of its own parents. Leave it out"),
        (with_a_pipe, "pipe, which is neither a file nor a directory. Leave it out"),
    ],
)
def test_what_cannot_be_copied_is_refused_and_leaves_nothing(experiment, model, source, message):
    (experiment / "trials/00003").mkdir(parents=True)

    with pytest.raises(ReportError) as raised:
        commit(source(model, experiment), experiment, REFERENCE)

    assert message in str(raised.value)
    assert files_of(experiment) == {}
    assert not (experiment / REFERENCE).exists()


def test_an_error_while_writing_leaves_nothing_under_any_name(experiment):
    with pytest.raises(OSError, match="full"), staged(experiment, REFERENCE) as staging:
        (staging / "half").write_bytes(b"h")
        raise OSError("full")

    assert list((experiment / REFERENCE).parent.iterdir()) == []


def test_files_are_synced_before_the_folder_gets_its_name(experiment, model, monkeypatch):
    real_fsync, synced = os.fsync, []

    def recording_fsync(descriptor):
        synced.append((os.path.realpath(f"/proc/self/fd/{descriptor}"), (experiment / REFERENCE).exists()))
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    commit(model, experiment, REFERENCE)

    before = {Path(path).name for path, is_named in synced if not is_named}
    after = [path for path, is_named in synced if is_named]
    assert before == {"weights.bin", "0.bin", "layers", MANIFEST, ".1-000012.tmp"}
    assert after == [str((experiment / REFERENCE).parent.resolve())]


def test_a_checkpoint_is_a_path(model):
    checkpoint = Checkpoint(model)

    assert os.fspath(checkpoint) == checkpoint.path == str(model)
    assert (checkpoint / "weights.bin").read_bytes() == b"weights"
    assert Path(checkpoint) == model
    assert checkpoint == Checkpoint(str(model))
    assert checkpoint != str(model)
    assert len({checkpoint, Checkpoint(model)}) == 1
    assert repr(checkpoint) == f"Checkpoint({str(model)!r})"


def test_as_directory_gives_the_directory_or_the_files_own(model):
    with Checkpoint(model).as_directory() as folder:
        assert folder == str(model)
    with Checkpoint(model / "weights.bin").as_directory() as folder:
        assert folder == str(model)


def test_to_directory_copies(model, tmp_path):
    target = Checkpoint(model).to_directory(tmp_path / "copy")
    assert files_of(Path(target)) == files_of(model)

    temporary = Path(Checkpoint(model / "weights.bin").to_directory())
    assert files_of(temporary) == {"weights.bin": b"weights"}
    (temporary / "weights.bin").unlink()
    temporary.rmdir()


def test_from_directory_wants_a_directory(model):
    assert Checkpoint.from_directory(model) == Checkpoint(model)
    with pytest.raises(ReportError, match="there is no such directory"):
        Checkpoint.from_directory(model / "weights.bin")
