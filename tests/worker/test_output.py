from __future__ import annotations

import os
from pathlib import Path

import pytest

from tunesmith.worker.output import Output


@pytest.fixture
def output():
    made = Output("stdout")
    yield made
    made.close()


def test_nothing_written_makes_no_file_and_no_folder(output, tmp_path):
    assert output.move(str(tmp_path / "trial")) == 0

    assert list(tmp_path.iterdir()) == []


def test_what_is_new_is_appended(output, tmp_path):
    folder = tmp_path / "trials/1"
    os.write(output.descriptor, b"one\n")
    assert output.move(str(folder)) == 4
    os.write(output.descriptor, b"two\n")
    assert output.move(str(folder)) == 4
    assert output.move(str(folder)) == 0

    assert (folder / "stdout").read_bytes() == b"one\ntwo\n"


def test_from_one_move_to_the_next_another_folder_may_take_over(output, tmp_path):
    for name in ("a", "b"):
        os.write(output.descriptor, name.encode())
        output.move(str(tmp_path / name))

    assert [(tmp_path / name / "stdout").read_text() for name in ("a", "b")] == ["a", "b"]


def test_a_move_takes_no_more_than_it_may_and_the_rest_comes_with_the_next_one(output, tmp_path):
    text = os.urandom(3 << 20)
    os.write(output.descriptor, text)

    moved = [output.move(str(tmp_path), 2 << 20), output.move(str(tmp_path), 2 << 20)]

    assert moved == [2 << 20, 1 << 20]
    assert (tmp_path / "stdout").read_bytes() == text


def test_what_has_been_moved_takes_no_memory(output, tmp_path):
    for _ in range(3):
        os.write(output.descriptor, bytes(1 << 20))
        output.move(str(tmp_path))

    assert os.fstat(output.descriptor).st_blocks * 512 <= 1 << 16
    assert (tmp_path / "stdout").stat().st_size == 3 << 20


def test_who_opens_the_stream_once_more_writes_behind_the_others(output, tmp_path):
    os.write(output.descriptor, b"one\n")
    again = os.open(f"/proc/self/fd/{output.descriptor}", os.O_WRONLY | os.O_APPEND)
    os.write(again, b"two\n")
    os.close(again)
    os.write(output.descriptor, b"three\n")
    output.move(str(tmp_path))

    assert (tmp_path / "stdout").read_text() == "one\ntwo\nthree\n"


def test_a_stream_that_its_writer_cuts_off_goes_on(output, tmp_path):
    os.write(output.descriptor, b"a long line\n")
    output.move(str(tmp_path))
    os.ftruncate(output.descriptor, 0)
    os.write(output.descriptor, b"more\n")
    output.move(str(tmp_path))

    assert (tmp_path / "stdout").read_text() == "a long line\nmore\n"


def test_what_cannot_be_written_is_kept_for_the_next_time(output, tmp_path, capfd):
    (tmp_path / "trial").write_text("in the way")
    os.write(output.descriptor, b"word\n")

    assert output.move(str(tmp_path / "trial")) == 0
    assert "cannot be written" in capfd.readouterr().err

    Path(tmp_path / "trial").unlink()
    assert output.move(str(tmp_path / "trial")) == 5
    assert (tmp_path / "trial/stdout").read_text() == "word\n"
