"""Events as rows of the journal, and back. Bytes in, bytes out; no file is opened here.

The payload is the event's JSON, whole, in which nan and the infinities stand as `NaN`, `Infinity` and `-Infinity` (as
Python's `json` writes them) and integers may be of any size. The checksum covers the payload and the row's place, kind
and version, so a flipped bit in any of them is found.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar
from zlib import crc32

import msgspec

from ..core.events import EVENT_TYPES, Event
from ..errors import JournalTooNew

T = TypeVar("T")
Row = tuple[int, str, int, int | None, str, int]
"""(seq, kind, v, trial, payload, crc), as the table `events` holds it."""

VERSIONS: dict[str, int] = {event_type.__name__: 1 for event_type in EVENT_TYPES}
"""kind -> the version that this build writes. A new field with a default needs no new version."""

UPGRADES: dict[tuple[str, int], Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""(kind, v) -> what turns the fields of an old row into those of version v + 1. Rows are never rewritten."""


class BadRow(ValueError):
    """A row whose bytes are not what was written."""


def dumps(value: Any) -> bytes:
    """Return a struct or a JSON value as JSON that keeps nan, infinities, huge integers and lone surrogates."""
    try:
        payload = _encoder.encode(value)
    except (OverflowError, UnicodeEncodeError):
        payload = b"null"
    # msgspec writes nan and inf as null; real nulls are rare, so looking closer costs little.
    return _dumps_slowly(value) if b"null" in payload else payload


def _dumps_slowly(value: Any) -> bytes:
    return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def loads(payload: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what `dumps` was given.

    Raises:
        BadRow: It is no such JSON.
    """
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        return msgspec.convert(json.loads(payload), decoder.type)
    except (ValueError, RecursionError) as error:
        raise BadRow(f"its payload cannot be read ({error})") from None


def encode(seq: int, event: Event) -> Row:
    """Return the event as row number `seq`."""
    kind, version, salt = _LABELS[type(event)]
    payload = dumps(event)
    return seq, kind, version, getattr(event, "trial", None), payload.decode(), crc32(payload, (salt ^ seq) & _32_BITS)


def decode(seq: int, kind: str, version: int, payload: bytes, crc: int) -> Event:
    """Return the event that a row holds.

    Raises:
        BadRow: The row is not what was written.
        JournalTooNew: It is, by a newer Tunesmith.
    """
    if crc32(payload, (_salt(kind, version) ^ seq) & _32_BITS) != crc:
        raise BadRow("its checksum does not fit its contents")
    known = VERSIONS.get(kind)
    if version == known:
        return loads(payload, _DECODERS[kind])
    if known is None or version > known:
        raise JournalTooNew(
            f"event {seq} is {kind!r} of version {version}; this Tunesmith knows "
            + ("no such kind of event." if known is None else f"it up to version {known}.")
        )
    return _upgraded(kind, version, payload)


def _upgraded(kind: str, version: int, payload: bytes) -> Event:
    fields = json.loads(payload)
    for old in range(version, VERSIONS[kind]):
        fields = UPGRADES[kind, old](fields)
    return msgspec.convert(fields, _DECODERS[kind].type)


@lru_cache(maxsize=256)
def _salt(kind: str, version: int) -> int:
    return crc32(f"{kind}/{version}".encode())


_32_BITS = 0xFFFFFFFF
_encoder = msgspec.json.Encoder()
_DECODERS: dict[str, msgspec.json.Decoder[Event]] = {
    event_type.__name__: msgspec.json.Decoder(event_type) for event_type in EVENT_TYPES
}
_LABELS: dict[type[Event], tuple[str, int, int]] = {
    event_type: (event_type.__name__, version, _salt(event_type.__name__, version))
    for event_type, version in zip(EVENT_TYPES, VERSIONS.values(), strict=True)
}
