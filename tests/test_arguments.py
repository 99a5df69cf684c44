"""What the front door's arguments must be, where they can be said in several ways."""

import pytest

import tunesmith as tune
from tunesmith import arguments
from tunesmith.core.objective import Objective


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (None, None), (1, 1), ("7", 7), ("10GB", 10**10), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8),
        ("2k", 2000), ("2 KiB", 2048), ("1T", 10**12), ("12B", 12),
    ],
)  # fmt: skip
def test_a_size_is_a_number_or_text(given, count):
    assert arguments.byte_count("max_checkpoint_bytes", given) == count


@pytest.mark.parametrize("given", [0, -1, 1.5, True, "", "10 apples", "-1GB", "0", "1XB", "i", "3i", b"1GB", []])
def test_a_size_that_is_none_is_refused_with_an_example(given):
    with pytest.raises(tune.ConfigError, match="give a number of bytes above 0, or text such as '500MB' or '10GB'"):
        arguments.byte_count("max_checkpoint_bytes", given)


@pytest.mark.parametrize(
    ("attribute", "order", "score"),
    [
        (None, None, None), ("accuracy", None, Objective("accuracy", "max")),
        ("min-loss", None, Objective("loss", "min")),
        ("loss", "min", Objective("loss", "min")), ("min-loss", "max", Objective("min-loss", "max")),
    ],
)  # fmt: skip
def test_what_checkpoints_are_kept_by_is_said_in_ray_2s_words_or_early_tunes(attribute, order, score):
    assert arguments.checkpoint_score(attribute, order) == score


@pytest.mark.parametrize(
    ("attribute", "order", "message"),
    [
        (3, None, "checkpoint_score_attr=3: give a metric's name"),
        ("", None, "checkpoint_score_attr='': give a metric's name"),
        ("min-", None, "checkpoint_score_attr='min-': give a metric's name"),
        ("loss", "down", "checkpoint_score_order='down': give one of 'max', 'min'"),
        (None, "min", "checkpoint_score_order='min' without a metric. Add checkpoint_score_attr="),
    ],
)
def test_what_checkpoints_cannot_be_kept_by_is_refused(attribute, order, message):
    with pytest.raises(tune.ConfigError, match=message):
        arguments.checkpoint_score(attribute, order)
