"""What this machine offers to trials: CPUs, GPUs, and what the caller adds. It asks; it changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import ConfigError

_GROUPS = Path("/sys/fs/cgroup")


def cpu_count(*, groups: Path = _GROUPS, membership: Path = Path("/proc/self/cgroup")) -> int:
    """Return how many CPUs this process may use: those it is bound to, within its control groups' quotas."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([float(bound), *_quotas(groups, membership)])))


def _quotas(groups: Path, membership: Path) -> list[float]:
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return []
    found: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _quotas_along(groups, path, _unified_quota)
        elif "cpu" in controllers.split(","):
            found += _quotas_along(groups / controllers, path, _legacy_quota)
            found += _quotas_along(groups / "cpu", path, _legacy_quota)
    return found


def _quotas_along(root: Path, path: str, quota_of: Callable[[Path], float | None]) -> list[float]:
    """Return the quotas of a group and of all that it lies in; inside a container `path` may not be visible."""
    group = root / path.strip("/")
    folders = [group, *group.parents]
    within = folders[: folders.index(root) + 1] if root in folders else [root]
    return [quota for folder in within if (quota := quota_of(folder)) is not None]


def _unified_quota(folder: Path) -> float | None:
    try:
        allowed, period = (folder / "cpu.max").read_text().split()
        return None if allowed == "max" else int(allowed) / int(period)
    except (OSError, ValueError):
        return None


def _legacy_quota(folder: Path) -> float | None:
    try:
        allowed = int((folder / "cpu.cfs_quota_us").read_text())
        return None if allowed <= 0 else allowed / int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None


def visible_gpus(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Return the GPUs that this process may use, as CUDA_VISIBLE_DEVICES takes them.

    An outer CUDA_VISIBLE_DEVICES is obeyed as CUDA does: numbers or UUIDs, the first -1 ends the list, empty is none.
    """
    outer = environment.get("CUDA_VISIBLE_DEVICES")
    if outer is None:
        return _installed_gpus()
    visible: list[str] = []
    for entry in (part.strip() for part in outer.split(",")):
        if not entry or entry.startswith("-"):
            break
        visible.append(entry)
    return tuple(visible)


def _installed_gpus() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        listing = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()  # A tool without a working driver: CUDA would find nothing either.
    return gpus_listed(listing)


def gpus_listed(listing: str) -> tuple[str, ...]:
    """Return the GPUs in the output of `nvidia-smi -L`; one that is cut up (MIG) stands as its slices."""
    gpus: list[str] = []
    slices: list[str] = []
    for line in listing.splitlines():
        if found := re.match(r"GPU (\d+):", line):
            gpus.append(found[1])
        elif found := re.match(r"\s+MIG .*UUID: (MIG-[^)]+)\)", line):
            # CUDA takes a GPU that is cut up only by the names of its slices.
            if gpus and not gpus[-1].startswith("MIG-"):
                gpus.pop()
            slices.append(found[1])
            gpus.append(found[1])
    return tuple(slices) if slices and len(slices) == len(gpus) else tuple(gpus)


def chosen_gpus(wanted: int | Sequence[str] | None, visible: Sequence[str]) -> tuple[str, ...]:
    """Return the GPUs to use: all visible ones, the first `wanted`, or those named.

    Raises:
        ConfigError: More are wanted than there are.
    """
    if wanted is None:
        return tuple(visible)
    if not isinstance(wanted, int):
        return tuple(str(gpu) for gpu in wanted)
    if not 0 <= wanted <= len(visible):
        raise ConfigError(
            f"gpus={wanted}, but {len(visible)} are visible here ({', '.join(visible) or 'none'}). "
            "Ask for no more, or name them: gpus=('0', '1')."
        )
    return tuple(visible[:wanted])
