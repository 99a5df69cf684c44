from pathlib import Path

import pytest

from tunesmith.errors import JournalFull
from tunesmith.store import disks
from tunesmith.store.disks import check_room, network_disk

MOUNTS = """/dev/vda / ext4 rw 0 0
server:/home {base}/home nfs4 rw,vers=4.2 0 0
/dev/vdb {base}/home/local xfs rw 0 0
//share {base}/my\\040share cifs rw 0 0
tmpfs {base}/twice tmpfs rw 0 0
server:/x {base}/twice nfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("results", None), ("home/results", "nfs4"), ("home/local/results", None), ("my share/results", "cifs"),
     ("twice", "nfs"), ("homeless", None)],
)  # fmt: skip
def test_the_innermost_mount_tells_the_disk(tmp_path: Path, folder: str, kind: str | None):
    mounts = tmp_path / "mounts"
    mounts.write_text(MOUNTS.format(base=tmp_path))

    assert network_disk(tmp_path / folder, mounts) == kind


def test_a_machine_that_does_not_tell_has_local_disks(tmp_path: Path):
    assert network_disk(tmp_path, tmp_path / "none") is None


def test_a_disk_with_room_is_no_error_and_a_full_one_says_how_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    check_room(tmp_path)

    monkeypatch.setattr(disks, "LEAST_ROOM", 2**80)
    with pytest.raises(JournalFull, match=r"is full \([\d,]+ bytes are free\). Make room on it."):
        check_room(tmp_path)
