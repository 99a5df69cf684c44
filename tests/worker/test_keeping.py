"""Where an attempt keeps what it has downloaded to start from: each part of it has its own, and ranks only look."""

import pytest

from tunesmith.worker.keeping import Keeping
from tunesmith.worker.protocol import Assignment

REFERENCE = "trials/00007/checkpoints/1-000004"


class Remote:
    """Stands for a URL; whoever asks anything of it fails."""


def keeping(folder, **fields):
    more = {"checkpoint": REFERENCE, **fields}
    assignment = Assignment(7, 2, {}, 1.0, experiment_folder=str(folder), trial_folder="trials/00007", **more)
    return Keeping(folder, assignment, Remote())


@pytest.fixture
def downloaded(tmp_path):
    """What each part of an attempt on nodes `a` (its first) and `b` has downloaded."""
    found = {at: keeping(tmp_path, at=at).start_container for at in ("", "b")}
    for folder in found.values():
        folder.mkdir(parents=True)
    return found


def test_parts_on_several_nodes_do_not_share_what_they_download(downloaded):
    assert downloaded[""] != downloaded["b"]


def test_a_rank_finds_what_the_process_has_downloaded_that_started_it_and_deletes_nothing(tmp_path, downloaded):
    rank = keeping(tmp_path, is_rank=True)

    rank.fetch()
    rank.release()

    assert rank.start_container == downloaded[""]
    assert all(folder.exists() for folder in downloaded.values())


def test_a_part_on_another_node_deletes_its_own_only(tmp_path, downloaded):
    keeping(tmp_path, at="b").release()

    assert [folder.exists() for folder in downloaded.values()] == [True, False]
