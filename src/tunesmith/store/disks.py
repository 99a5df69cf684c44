"""What kind of disk a folder lies on, and whether it is full."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import JournalFull

LEAST_ROOM = 2**20
"""A disk with fewer free bytes is full: what a trial saves would not fit any more."""

NETWORK = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "panfs", "orangefs",
    "ocfs2", "gfs2", "glusterfs",
    "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse", "fuse.ceph", "fuse.beegfs",
})  # fmt: skip
"""File systems that several machines share; their memory maps and locks are not what SQLite's write-ahead log needs."""


def network_disk(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """Return the name of the network file system that `folder` lies on; None when it is local or unknown."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return None
    place = folder.resolve()
    found, kind = -1, ""
    for line in lines:
        _, point, name, *_ = line.split(" ")
        mount = Path(point.replace("\\040", " "))
        # The later of two mounts on one place hides the earlier.
        if len(mount.parts) >= found and place.is_relative_to(mount):
            found, kind = len(mount.parts), name
    return kind if kind in NETWORK else None


def check_room(folder: Path) -> int:
    """Check that the disk of `folder` has room for more than the next few lines; return how many bytes are free.

    Raises:
        JournalFull: It has not.
    """
    disk = os.statvfs(folder)
    free = disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)
    # A file system that counts no blocks does not tell.
    if disk.f_blocks and free < LEAST_ROOM:
        raise JournalFull(f"the disk of {folder} is full ({free:,} bytes are free). Make room on it.")
    return free if disk.f_blocks else 0
