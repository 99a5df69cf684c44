"""Tables with a row per trial."""

import math

import pandas as pd
import pytest

from tunesmith.core.objective import Objective
from tunesmith.earlier.tables import read_table, rows_of_csv, rows_of_frame
from tunesmith.errors import ConfigError

LOSS = [Objective("loss", "min")]


def test_every_column_but_the_metric_may_be_a_parameter():
    found = read_table("t", [{"lr": 0.1, "opt": "sgd", "loss": 2}, {"lr": 0.2, "opt": None, "loss": 1.0}], LOSS)

    assert found.configs == [{"lr": 0.1, "opt": "sgd"}, {"lr": 0.2, "opt": None}]
    assert found.losses == [(2.0,), (1.0,)]


@pytest.mark.parametrize("prefix", ["config/", "params_"])
def test_where_parameters_have_a_prefix_only_they_are_parameters(prefix):
    found = read_table("t", [{f"{prefix}lr": 0.1, "seconds": 3, "loss": 2}], LOSS)

    assert found.configs == [{"lr": 0.1}]


@pytest.mark.parametrize("column", ["loss", "best/loss", "last/loss"])
def test_a_metric_is_found_as_our_own_tables_write_it(column):
    assert read_table("t", [{"config/lr": 0.1, column: 2}], LOSS).losses == [(2.0,)]


def test_rows_without_a_finite_metric_are_counted():
    rows = [{"x": 1, "loss": value} for value in (1.0, math.nan, None, math.inf, "bad", True)]

    found = read_table("t", rows, [Objective("loss", "max")])

    assert (found.losses, found.left_out) == ([(-1.0,)], {"have no usable 'loss'": 5})


def test_a_missing_metric_says_what_columns_there_are():
    with pytest.raises(ConfigError, match=r"t has no column 'loss'; it has x, value\. .*'metric': 'its name'"):
        read_table("t", [{"x": 1, "value": 2}], LOSS)
    with pytest.raises(ConfigError, match="t has no rows"):
        read_table("t", [], LOSS)


def test_a_csv_file_is_read_as_what_its_text_says(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('x,n,flag,name,layers,none,empty,loss\n1e-3,3,True,sgd,"[8, 4]",None,,nan\n')

    [row] = rows_of_csv(path)

    assert math.isnan(row.pop("loss"))
    assert row == {"x": 0.001, "n": 3, "flag": True, "name": "sgd", "layers": [8, 4], "none": None}


def test_a_frame_gives_plain_values():
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, math.nan], "t": [(1, 2), (3, 4)], "loss": [1, 2]})

    found = read_table("t", rows_of_frame(frame), LOSS)

    assert found.configs == [{"n": 1, "x": 0.5, "t": [1, 2]}, {"n": 2, "t": [3, 4]}]
    assert [type(config["n"]) for config in found.configs] == [int, int]
