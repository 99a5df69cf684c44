"""Results folders of Ray Tune. `data/ray` is what Ray 2.60 has written; its last trial was cut off as if stopped."""

import json
from pathlib import Path

import pytest

from tunesmith.core.objective import Objective
from tunesmith.earlier.ray_folders import is_ray_folder, read_ray_folder

FOLDER = Path(__file__).parent / "data" / "ray"


def test_a_folder_of_ray_is_known_by_its_trials(tmp_path):
    assert is_ray_folder(FOLDER)
    assert not is_ray_folder(tmp_path)


def test_each_trial_has_its_config_and_its_best_loss():
    found = read_ray_folder("r", FOLDER, [Objective("loss", "min")])

    assert found.configs[0] == {
        "lr": 0.9060131639549611, "model": {"depth": 4, "kind": "b"}, "wd": 0.1, "layers": [8, 8],
    }  # fmt: skip
    assert [losses[0] for losses in found.losses[:3]] == pytest.approx([1.100585, 0.480220, 0.795597], rel=1e-5)


def test_a_trial_that_was_stopped_early_counts_with_what_the_others_gained_after_that():
    found = read_ray_folder("r", FOLDER, [Objective("loss", "min")])

    # The loss falls by 1/2 - 1/3 from the second iteration to the third.
    assert found.losses[3][0] == pytest.approx(0.848182 - 1 / 6, rel=1e-5)


def test_a_metric_that_was_not_reported_is_counted():
    found = read_ray_folder("r", FOLDER, [Objective("accuracy", "max")])

    assert (found.configs, found.left_out) == ([], {"have no usable 'accuracy'": 4})


def test_a_metric_to_maximize_is_a_negative_loss_and_of_several_the_last_counts():
    [best] = {losses[0] for losses in read_ray_folder("r", FOLDER, [Objective("acc", "max")]).losses[:3]}
    several = read_ray_folder("r", FOLDER, [Objective("loss", "min"), Objective("acc", "max")])

    assert best == -2
    assert several.losses[0] == pytest.approx((1.100585, -2), rel=1e-5)


def test_a_result_that_was_not_written_to_its_end_is_left_out(tmp_path):
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "params.json").write_text(json.dumps({"x": 1}))
    (folder / "result.json").write_text('{"loss": 2.0, "training_iteration": 1}\n{"loss": NaN}\n{"loss": 1.')

    assert read_ray_folder("r", tmp_path, [Objective("loss", "min")]).losses == [(2.0,)]
