import functools
import json
import math
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints
from zlib import crc32

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import report, same, small_run

from tunesmith.core.events import EVENT_TYPES, Event, Reported
from tunesmith.errors import JournalTooNew
from tunesmith.store import codec
from tunesmith.store.codec import BadRow, decode, encode

text = st.text(max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**300), 10**300) | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation, as the event classes use them."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return json_values
    if origin in (UnionType, Union):
        return st.one_of(*map(values, arguments))
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=3)
    if origin is tuple and arguments[-1] is Ellipsis:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*map(values, arguments))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return structs(hint)
    plain = {int: st.integers(-(2**63), 2**63 - 1), float: st.floats(), str: text, bool: st.booleans()}
    return (plain | {type(None): st.none()})[hint]


@functools.cache
def structs(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Structs of a kind, which may hold others of it."""
    return st.deferred(lambda: st.builds(kind, **{field: values(hint) for field, hint in get_type_hints(kind).items()}))


def bytes_of(row: codec.Row) -> tuple[int, str, int, bytes, int]:
    seq, kind, version, _, payload, crc = row
    return seq, kind, version, payload.encode(), crc


@settings(deadline=None)
@given(st.data(), st.sampled_from(EVENT_TYPES), st.integers(1, 2**40))
def test_every_event_comes_back_as_it_was(data: st.DataObject, kind: type[Event], seq: int):
    event = data.draw(structs(kind))

    assert same(decode(*bytes_of(encode(seq, event))), event)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, [1, [math.nan, {"a": -math.inf}]], None, [None, math.nan], 2**64, -(10**400),
     "\ud800", "\x00 \u2028 \U0001f600", "NaN", {"$float": "nan"}, -0.0, 5e-324, 1e308, "null", {"": ""}],
)  # fmt: skip
def test_odd_values_survive(value: object):
    event = Reported(at=1.0, trial=0, attempt=1, number=1, metrics={"x": value})

    assert same(decode(*bytes_of(encode(1, event))), event)


def test_the_row_names_the_trial_for_the_index():
    assert encode(5, report(3, 1, 0.5))[:4] == (5, "Reported", 1, 3)
    assert encode(1, small_run()[0][0])[:4] == (1, "ExperimentCreated", 1, None)


def test_a_flipped_bit_anywhere_in_a_row_is_found():
    seq, kind, version, payload, crc = bytes_of(encode(5, report(3, 1, 0.5)))
    for position in range(8 * len(payload)):
        flipped = bytearray(payload)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(BadRow, match="checksum"):
            decode(seq, kind, version, bytes(flipped), crc)
    for row in [
        (seq + 1, kind, version, payload, crc),
        (seq, "TrialCompleted", version, payload, crc),
        (seq, kind, version + 1, payload, crc),
        (seq, kind, version, payload, crc ^ 1),
    ]:
        with pytest.raises(BadRow, match="checksum"):
            decode(*row)


def row_of(kind: str, version: int, fields: object, seq: int = 9) -> tuple[int, str, int, bytes, int]:
    """A row as another version of Tunesmith may have written it."""
    payload = json.dumps(fields).encode()
    return seq, kind, version, payload, crc32(payload, crc32(f"{kind}/{version}".encode()) ^ seq)


def test_a_field_that_a_newer_build_added_is_ignored():
    row = row_of("TrialCompleted", 1, {"at": 2.0, "trial": 4, "mood": {"deep": [1]}})

    assert same(decode(*row), small_event("TrialCompleted", at=2.0, trial=4))


def small_event(kind: str, **fields: object) -> Event:
    return {event.__name__: event for event in EVENT_TYPES}[kind](**fields)


def test_an_unknown_kind_is_named():
    with pytest.raises(JournalTooNew, match=r"event 9 is 'TrialTeleported' of version 1; .* knows no such kind"):
        decode(*row_of("TrialTeleported", 1, {"at": 2.0}))


def test_an_unknown_version_is_named():
    with pytest.raises(JournalTooNew, match=r"event 9 is 'TrialCompleted' of version 3; .* up to version 1"):
        decode(*row_of("TrialCompleted", 3, {"at": 2.0, "trial": 4}))


def test_old_rows_are_upgraded_one_version_after_the_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(codec.VERSIONS, "TrialCompleted", 3)
    monkeypatch.setitem(codec.UPGRADES, ("TrialCompleted", 1), lambda old: {"at": old["time"], "number": old["number"]})
    monkeypatch.setitem(codec.UPGRADES, ("TrialCompleted", 2), lambda old: {"at": old["at"], "trial": old["number"]})

    for version, time in ((1, "time"), (2, "at")):
        row = row_of("TrialCompleted", version, {time: 2.0, "number": 4})
        assert same(decode(*row), small_event("TrialCompleted", at=2.0, trial=4))


def test_a_payload_that_is_no_event_is_a_bad_row():
    for fields in ([], {"at": "noon", "trial": 4}, {}, None, "x"):
        with pytest.raises(BadRow, match="cannot be read"):
            decode(*row_of("TrialCompleted", 1, fields))
