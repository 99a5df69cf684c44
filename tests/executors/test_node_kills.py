"""A node of a real Ray whose cable is pulled while its trials run: one run of the benchmark, with less patience."""

import random

import pytest
from benchmarks.cluster import node_kills

import tunesmith as tune

pytest.importorskip("ray")
pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]
CABLE = 2


class Impatient(tune.RayExecutor):
    driver_timeout = 2.0
    lease = 4.5
    agent_timeout = 7.0


def test_the_trials_of_a_node_that_is_cut_off_go_on_elsewhere_once_they_have_ended_there(tmp_path):
    with node_kills.nodes() as made:
        if not made.has_island:
            pytest.skip("needs the right to make networks")
        found = node_kills.one_run(made, tmp_path, random.Random(1), which=CABLE, executor=Impatient("auto"))

    assert (found["lost"], found["abandoned"], found["twice"]) == (0, 0, 0)
    assert found["attempts_again"] == 2
    assert found["redone"] < node_kills.EVERY
