from __future__ import annotations

import os

import pytest

from tunesmith.errors import ConfigError
from tunesmith.executors.machine import chosen_gpus, cpu_count, gpus_listed, visible_gpus


@pytest.fixture
def two_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)


def groups(tmp_path, files):
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "cgroup"


@pytest.mark.parametrize(
    ("member", "files", "cpus"),
    [
        ("0::/job/step\n", {}, 8),
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000\n"}, 8),
        ("0::/job/step\n", {"job/step/cpu.max": "250000 100000\n"}, 2),
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000\n", "job/cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/not/visible/here\n", {"cpu.max": "400000 100000\n"}, 4),
        ("4:cpu,cpuacct:/docker/x\n", {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ("4:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 8),
        ("0::/\n", {"cpu.max": "nonsense"}, 8),
    ],
)
def test_cpus_are_those_bound_to_within_the_quotas_of_all_groups_above(tmp_path, two_cpus, member, files, cpus):
    membership = tmp_path / "membership"
    membership.write_text(member)

    assert cpu_count(groups=groups(tmp_path, files), membership=membership) == cpus


def test_without_control_groups_the_binding_counts(tmp_path, two_cpus):
    assert cpu_count(groups=tmp_path, membership=tmp_path / "none") == 8


@pytest.mark.parametrize(
    ("value", "gpus"),
    [
        ("", ()),
        ("-1", ()),
        ("0", ("0",)),
        ("2, 0", ("2", "0")),
        ("0,-1,1", ("0",)),
        ("GPU-8932f937-d72c,MIG-5c6b", ("GPU-8932f937-d72c", "MIG-5c6b")),
    ],
)
def test_an_outer_cuda_visible_devices_is_obeyed_as_cuda_does(value, gpus):
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": value}) == gpus


def with_tool(tmp_path, monkeypatch, script):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")


def test_installed_gpus_are_asked_for(tmp_path, monkeypatch):
    with_tool(tmp_path, monkeypatch, "echo 'GPU 0: NVIDIA H200 (UUID: GPU-a)'; echo 'GPU 1: NVIDIA H200 (UUID: GPU-b)'")

    assert visible_gpus({}) == ("0", "1")


def test_a_tool_without_a_driver_means_no_gpu(tmp_path, monkeypatch):
    with_tool(tmp_path, monkeypatch, "echo 'NVIDIA-SMI has failed'; exit 9")

    assert visible_gpus({}) == ()


def test_no_tool_means_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert visible_gpus({}) == ()


def test_a_gpu_that_is_cut_up_stands_as_its_slices():
    listing = (
        "GPU 0: NVIDIA A100 (UUID: GPU-1)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-2)\n"
        "  MIG 3g.20gb     Device  1: (UUID: MIG-3)\n"
    )

    assert gpus_listed(listing) == ("MIG-2", "MIG-3")
    assert gpus_listed("GPU 0: NVIDIA A100 (UUID: GPU-1)\nGPU 1: NVIDIA A100 (UUID: GPU-2)\n") == ("0", "1")


def test_gpus_are_chosen_by_number_or_by_name():
    assert chosen_gpus(None, ("0", "1")) == ("0", "1")
    assert chosen_gpus(1, ("0", "1")) == ("0",)
    assert chosen_gpus(0, ("0", "1")) == ()
    assert chosen_gpus(("7",), ()) == ("7",)
    with pytest.raises(ConfigError, match="gpus=2, but 1 are visible here"):
        chosen_gpus(2, ("0",))
