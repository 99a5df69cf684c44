from __future__ import annotations

import random
import socket
from itertools import pairwise

import msgspec
import pytest

from tunesmith.worker.protocol import Assignment, Ended, Report
from tunesmith.worker.wire import ENDED, IDLE, KIND, FrameReader, Idle, Outbox, frame, header


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def bodies(reader):
    """Return the bodies that can be read now, and whether the stream is at its end."""
    found = []
    while True:
        try:
            frames = reader.read()
        except BlockingIOError:
            return found, False
        if frames is None:
            return found, True
        data, bounds = frames
        found += [bytes(data[start + 4 : end]) for start, end in pairwise(bounds)]


def test_frames_of_any_size_cut_anywhere_arrive_whole_and_in_order(pair):
    ours, theirs = pair
    draw = random.Random(1)
    sizes = [0, 1, 65531, 65532, 65533, 65536, 300_000, 2_000_000, *(draw.randrange(5_000) for _ in range(300))]
    draw.shuffle(sizes)
    sent = [draw.randbytes(size) for size in sizes]
    stream = memoryview(b"".join(header(body) + body for body in sent))
    reader, found = FrameReader(theirs), []

    while stream:
        taken = ours.send(stream[: draw.choice([1, 3, 100, 70_000, 200_000])])
        stream = stream[taken:]
        found += bodies(reader)[0]

    assert found == sent
    ours.close()
    assert bodies(reader) == ([], True)


def test_a_frame_cut_off_by_the_end_of_the_stream_is_no_frame(pair):
    ours, theirs = pair
    ours.send(header(b"whole") + b"whole" + header(b"cut off") + b"cut")
    ours.close()

    assert bodies(FrameReader(theirs)) == ([b"whole"], True)


def test_a_large_body_lies_aligned_in_memory_that_may_be_written_to(pair):
    ours, theirs = pair
    reader, body = FrameReader(theirs), bytes(1 << 20)
    outbox = Outbox(ours)
    outbox.put(header(body))
    outbox.put(body)
    while True:
        outbox.flush()
        data, bounds = reader.read()
        if len(bounds) > 1:
            break

    numpy = pytest.importorskip("numpy")
    array = numpy.frombuffer(data[4:], dtype=numpy.float64)
    assert array.flags.aligned
    assert array.flags.writeable
    assert array.size == (1 << 20) // 8


def test_an_outbox_keeps_the_order_and_counts_what_waits(pair):
    ours, theirs = pair
    outbox, reader = Outbox(ours), FrameReader(theirs)
    sent = [bytes([number]) * 50_000 for number in range(40)]
    for body in sent:
        outbox.put(header(body))
        outbox.put(body)
    assert 0 < outbox.size < 40 * 50_004

    found = []
    while len(found) < 40:
        outbox.flush()
        found += bodies(reader)[0]

    assert found == sent
    assert outbox.size == 0


def test_an_outbox_to_a_dead_peer_swallows(pair):
    ours, theirs = pair
    outbox = Outbox(ours)
    outbox.put(bytes(10_000_000))
    theirs.close()
    outbox.flush()
    outbox.put(b"more")

    assert outbox.size == 0


def test_the_agent_can_tell_a_workers_messages_apart_without_decoding_them():
    assert frame(Ended(1, 2, "done"))[KIND] == ENDED
    assert frame(Idle())[KIND] == IDLE
    assert frame(Report(1, 2, 3, {"a": 1}, 0.5))[KIND] not in (ENDED, IDLE)


def test_an_assignment_survives_the_wire_with_odd_values():
    config = {"nan": float("nan"), "inf": float("inf"), "nested": {"list": [1, "ä", None, True]}, "big": 2**63}
    sent = Assignment(1, 2, config, float("inf"), "/folder", "trials/00001", resources={"cpu": 1}, gpus=("0",))

    got = msgspec.msgpack.decode(frame(sent)[4:], type=Assignment)

    assert repr(got) == repr(msgspec.structs.replace(sent, resources={"cpu": 1.0}))


def test_an_integer_too_large_for_the_wire_is_an_error_where_it_is_sent():
    with pytest.raises(OverflowError):
        frame(Report(1, 2, 3, {"a": 1 << 64}, 0.5))
