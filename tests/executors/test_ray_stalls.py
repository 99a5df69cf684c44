from tunesmith.executors.ray_stalls import waiting_in_vain

ONE, OTHER = "3336c9563e8e883ad71826b0168d08000000", "4f5c9465ada19d304365448da19908000000"
GROUPS = {
    f"CPU_group_{ONE}": (2.0, 0.0),
    f"CPU_group_0_{ONE}": (1.0, 0.0),
    f"CPU_group_1_{ONE}": (1.0, 0.0),
    f"CPU_group_{OTHER}": (2.0, 1.0),
    f"CPU_group_0_{OTHER}": (2.0, 1.0),
}
"""Two placement groups of two CPUs each."""


def test_a_task_waits_in_vain_for_what_placement_groups_have_taken():
    usage = {"CPU": (4.0, 4.0), "memory": (1e9, 0.0), **GROUPS}

    assert waiting_in_vain(usage, [{"CPU": 1.0, "memory": 1e6}]) == {"CPU": 1.0, "memory": 1e6}


def test_one_that_other_tasks_are_ahead_of_does_not():
    assert not waiting_in_vain({"CPU": (5.0, 5.0), **GROUPS}, [{"CPU": 1.0}])


def test_one_that_there_is_room_for_does_not():
    assert not waiting_in_vain({"CPU": (6.0, 4.0), **GROUPS}, [{"CPU": 2.0}])


def test_one_that_waits_within_a_group_is_its_trials_business():
    usage = {"CPU": (4.0, 4.0), **GROUPS}

    assert not waiting_in_vain(usage, [{f"CPU_group_{OTHER}": 2.0, f"bundle_group_{OTHER}": 0.001}])


def test_the_first_that_waits_in_vain_is_named():
    usage = {"CPU": (4.0, 4.0), "GPU": (1.0, 0.0), **GROUPS}

    assert waiting_in_vain(usage, [{"GPU": 1.0}, {"CPU": 1.0}]) == {"CPU": 1.0}
