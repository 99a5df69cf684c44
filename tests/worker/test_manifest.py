import json

import pytest

from tunesmith.worker import manifest
from tunesmith.worker.manifest import MANIFEST


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "c" / "deep" / "empty").mkdir(parents=True)
    (tmp_path / "c" / "model").write_bytes(b"12345")
    (tmp_path / "c" / "deep" / "rest").write_bytes(b"")
    manifest.write(tmp_path / "c")
    return tmp_path / "c"


def test_a_folder_that_is_what_was_written_has_no_fault(folder):
    assert manifest.fault(folder) == manifest.fault(folder, contents=True) == ""
    listed = manifest.read(folder)
    assert set(listed.files) == {"model", "deep/rest"}
    assert sorted(listed.folders) == ["deep", "deep/empty"]
    assert listed.size == 5
    assert manifest.decoded(listed.encoded()) == listed


def test_a_folder_without_a_list_is_taken_as_it_is(folder):
    (folder / MANIFEST).unlink()

    assert manifest.read(folder) is None
    assert manifest.fault(folder, contents=True) == ""


def test_only_who_reads_all_of_it_sees_other_contents(folder):
    (folder / "model").write_bytes(b"12354")

    assert manifest.fault(folder) == ""
    assert manifest.fault(folder, contents=True) == "its model does not hold what was written"


@pytest.mark.parametrize(
    "found",
    [
        b"", b"{", b"[]", b"\xff", b'{"files": 3, "folders": []}', b'{"files": {"a": 3}, "folders": []}',
        b'{"files": {"a": [1]}, "folders": []}', b'{"files": {}}',
        *(json.dumps({"files": {name: [1, 1]}, "folders": []}).encode() for name in ("../a", "/a", "", "a/../../b")),
        b'{"files": {}, "folders": ["../a"]}',
    ],
)  # fmt: skip
def test_a_list_that_is_none_or_leads_elsewhere_cannot_be_read(folder, found):
    (folder / MANIFEST).write_bytes(found)

    assert manifest.fault(folder) == f"its {MANIFEST} cannot be read"
    with pytest.raises(ValueError, match="cannot be read"):
        manifest.decoded(found)
