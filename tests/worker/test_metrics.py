import math
from collections import OrderedDict
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest

from tunesmith.errors import ReportError
from tunesmith.worker.metrics import LARGEST_REPORT, normalised, number_of


class Level(IntEnum):
    HIGH = 3


class EagerTensor:
    """Behaves like a tensor of TensorFlow, which is too heavy for these tests: no `item`, no `tolist`."""

    def __init__(self, value):
        self.value = np.asarray(value)

    @property
    def shape(self):
        return list(self.value.shape)

    def numpy(self):
        return self.value if self.value.ndim else self.value[()]


class Tensor:
    """Behaves like a tensor of torch, which is too heavy for these tests: `size` is a method."""

    def __init__(self, value):
        self.value = np.asarray(value)

    @property
    def shape(self):
        return self.value.shape

    def size(self):
        return self.value.shape

    def item(self):
        return self.value.item()

    def tolist(self):
        return self.value.tolist()


GOOD = [
    ({}, {}),
    ({"a": 1, "b": 0.5, "c": True, "d": "text", "e": None}, {"a": 1, "b": 0.5, "c": True, "d": "text", "e": None}),
    ({"a": math.inf, "b": -math.inf}, {"a": math.inf, "b": -math.inf}),
    ({"val": {"loss": 1, "top": {"k5": 2}}}, {"val/loss": 1, "val/top/k5": 2}),
    ({"val/loss": 1}, {"val/loss": 1}),
    ({"empty": {}}, {}),
    (OrderedDict(a=1), {"a": 1}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    ({"genauigkeit_für_ß": 1.0}, {"genauigkeit_für_ß": 1.0}),
    ({np.str_("a"): 1}, {"a": 1}),
    ({"a": np.float64(0.5)}, {"a": 0.5}),
    ({"a": np.float32(0.5)}, {"a": 0.5}),
    ({"a": np.float16(0.5)}, {"a": 0.5}),
    ({"a": np.int64(3)}, {"a": 3}),
    ({"a": np.uint64(2**63)}, {"a": float(2**63)}),
    ({"a": np.bool_(True)}, {"a": True}),
    ({"a": np.array(0.5)}, {"a": 0.5}),
    ({"a": np.str_("text")}, {"a": "text"}),
    ({"a": np.array([0.5])}, {"a": [0.5]}),
    ({"a": np.arange(6).reshape(2, 3)}, {"a": [[0, 1, 2], [3, 4, 5]]}),
    ({"a": (1, [2.5, None], np.float32(0.5))}, {"a": [1, [2.5, None], 0.5]}),
    ({"a": [{"b": np.int8(1)}]}, {"a": [{"b": 1}]}),
    ({"a": Level.HIGH}, {"a": 3}),
    ({"a": 2**63 - 1}, {"a": 2**63 - 1}),
    ({"a": -(2**63)}, {"a": -(2**63)}),
    ({"a": 2**63}, {"a": float(2**63)}),
    ({"a": 10**300}, {"a": 1e300}),
    ({"a": Tensor(0.5)}, {"a": 0.5}),
    ({"a": Tensor([1, 2])}, {"a": [1, 2]}),
    ({"a": EagerTensor(0.5)}, {"a": 0.5}),
    ({"a": EagerTensor([1, 2])}, {"a": [1, 2]}),
    ({f"m{i}": 0.5 for i in range(2000)}, {f"m{i}": 0.5 for i in range(2000)}),
]


@pytest.mark.parametrize(("metrics", "expected"), GOOD)
def test_what_can_be_recorded_becomes_flat_json_values(metrics, expected):
    found = normalised(metrics)

    assert found == expected
    assert [type(value) for value in found.values()] == [type(value) for value in expected.values()]
    assert all(type(key) is str for key in found)


def test_nan_is_kept():
    assert math.isnan(normalised({"a": math.nan})["a"])
    assert math.isnan(normalised({"a": np.float32("nan"), "b": "text"})["a"])


def test_the_callers_dict_is_not_kept():
    metrics = {"a": 1.0}

    found = normalised(metrics)
    metrics["a"] = 2.0

    assert found == {"a": 1.0}


endless: dict = {}
endless["again"] = endless
endless_list: list = []
endless_list.append(endless_list)

BAD = [
    (0.5, None, "a report takes a dict of metrics, not a float. Write it as {'loss': value}"),
    ([("a", 1)], None, "a report takes a dict of metrics, not a list"),
    (None, None, "a report takes a dict of metrics, not a NoneType"),
    ({1: 0.5}, None, "the metric name 1 is an int. Names are strings: write '1'"),
    ({("a", "b"): 0.5}, None, "the metric name ('a', 'b') is a tuple"),
    ({None: 0.5}, None, "the metric name None is a NoneType"),
    ({b"loss": 0.5}, None, "the metric name b'loss' is a bytes"),
    ({"val": {3: 0.5}}, None, "the metric name 3 in 'val' is an int"),
    ({"": 0.5}, None, "a metric has the empty string as its name"),
    ({"val": {"": 0.5}}, None, "a metric in 'val' has the empty string as its name"),
    ({"a\0b": 0.5}, None, "the metric name 'a\\x00b' holds a NUL or half a surrogate pair. Use plain text"),
    ({"a\udc80": 0.5}, None, "the metric name 'a\\udc80' holds a NUL or half a surrogate pair"),
    ({"a": b"raw"}, None, "metric 'a' is a bytes, which cannot be recorded. Report text (bytes.decode())"),
    ({"a": bytearray(3)}, None, "metric 'a' is a bytearray, which cannot be recorded. Report text"),
    ({"a": {1, 2}}, None, "metric 'a' is a set, which cannot be recorded. Report a list, e.g. sorted(value)"),
    ({"a": max}, None, "is a builtin_function_or_method, which cannot be recorded. Was it meant to be called"),
    ({"a": lambda: 1}, None, "metric 'a' is a function, which cannot be recorded. Was it meant to be called, with ()?"),
    ({"a": np.float64}, None, "metric 'a' is a type, which cannot be recorded. Was it meant to be called"),
    ({"a": object()}, None, "metric 'a' is an object, which cannot be recorded. Report numbers, strings, or lists"),
    ({"a": 1j}, None, "metric 'a' is a complex, which cannot be recorded. Report its abs(), .real or .imag"),
    ({"a": np.complex64(1)}, None, "metric 'a' is a complex, which cannot be recorded"),
    ({"a": Decimal("0.5")}, None, "metric 'a' is a decimal.Decimal, which cannot be recorded. Report float(value)"),
    ({"a": Fraction(1, 2)}, None, "metric 'a' is a fractions.Fraction, which cannot be recorded. Report float(value)"),
    ({"a": np.longdouble(1)}, None, "metric 'a' is a numpy.longdouble, which cannot be recorded. Report float(value)"),
    ({"a": np.datetime64("2026-01-01")}, None, "metric 'a' is a datetime.date, which cannot be recorded"),
    ({"a": [1, b"raw"]}, None, "metric 'a' is a bytes, which cannot be recorded"),
    ({"val": {"a": object()}}, None, "metric 'val/a' is an object, which cannot be recorded"),
    ({"a": np.array([object()])}, None, "metric 'a' is an object, which cannot be recorded"),
    ({"a": [{2: 1}]}, None, "the metric name 2 in 'a' is an int"),
    ({"a": "half \udc80"}, None, "metric 'a' is text with half a surrogate pair"),
    ({"a": 10**400}, None, "metric 'a' is an integer of 1329 bits, too large for a number. Report its logarithm?"),
    ({"a": {"b": 1}, "a/b": 2}, None, "metric 'a/b' is given twice: nested keys are joined by '/'"),
    ({"a/b": 2, "a": {"b": 1}}, None, "metric 'a/b' is given twice"),
    (endless, None, "is nested deeper than 20 levels (does it contain itself?)"),
    ({"a": endless_list}, None, "metric 'a' is nested deeper than 20 levels (does it contain itself?)"),
    ({"acc": "0.9"}, "acc", "'acc' is what the experiment optimises, so it must be one number; it is a str: '0.9'"),
    ({"acc": [0.9]}, "acc", "it is a list: [0.9]. Report a number, e.g. float(acc)"),
    ({"acc": np.array([0.9, 0.8])}, "acc", "it is a list: [0.9, 0.8]"),
    ({"val": {"acc": "high"}}, "val/acc", "metric 'val/acc' is what the experiment optimises"),
    ({"a": "x" * (LARGEST_REPORT + 1)}, None, "this report is 1,000,009 bytes, above the limit of 1,000,000 (the"),
    ({"b": 1, "a": ["x" * 1000] * 1000}, None, "(the largest metric: 'a', 1,003,003): too large for a metric. Put"),
    ({"a": np.zeros((1000, 1000))}, None, "metric 'a' is a numpy.ndarray of shape (1000, 1000): too large for a"),
    ({"a": [0.5] * 200_000}, None, "metric 'a' is a list of 200,000 elements: too large for a metric. Put it in a"),
]


@pytest.mark.parametrize(("metrics", "metric", "message"), BAD, ids=[row[2][:40] for row in BAD])
def test_what_cannot_be_recorded_is_refused_with_its_name_and_what_to_do(metrics, metric, message):
    with pytest.raises(ReportError) as raised:
        normalised(metrics, metric)

    assert message in str(raised.value)


def test_each_of_several_objectives_must_be_a_number():
    with pytest.raises(ReportError, match="metric 'latency' is what the experiment optimises"):
        normalised({"error": 0.5, "latency": "fast"}, "error", "latency")


@pytest.mark.parametrize("value", [1, 0.5, True, math.nan, None, np.float32(1)])
def test_the_objective_may_be_any_number_or_none(value):
    assert "acc" in normalised({"acc": value, "note": "text"}, "acc")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1), (0.5, 0.5), (True, True), (np.float32(0.5), 0.5), (np.array([0.5]), 0.5), (np.array([[2]]), 2)]
    + [(Tensor(0.5), 0.5), (Tensor([0.5]), 0.5), (EagerTensor(0.5), 0.5)]
    + [(value, None) for value in ("text", [0.5], {}, None, np.array([1, 2]), np.array("text"), float, object())],
)
def test_one_number_is_known_in_every_wrapping(value, expected):
    assert number_of(value) == expected
