"""Agents whose workers are virtual: each reports once a second, at a moment of its own. One process for all of them.

To the driver they are agents like any other; only what trains is not there. Called with the descriptors of the sockets.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from heapq import heappop, heappush
from itertools import pairwise
from random import Random
from typing import Any

import msgspec

from tunesmith.worker.protocol import Assignment, End, Ended, Go, Report
from tunesmith.worker.wire import FrameReader, Outbox, Payload, Ping, Ready, Setup, Started, Stop, frame

_decoder = msgspec.msgpack.Decoder(Setup | Payload | Assignment | Go | End | Stop | Ping)


def main(descriptors: list[int], reports: int) -> None:
    """Serve the drivers at the other ends until they are gone; each worker ends after so many reports."""
    selector = selectors.DefaultSelector()
    for descriptor in descriptors:
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        outbox = Outbox(sock)
        selector.register(sock, selectors.EVENT_READ, (FrameReader(sock), outbox))
        outbox.put(frame(Ready("fork")))
    agenda: list[tuple[float, int, int, Any]] = []
    while selector.get_map():
        patience = min(1.0, agenda[0][0] - time.monotonic()) if agenda else 1.0
        for key, _ in selector.select(max(0.0, patience)):
            reader, outbox = key.data
            try:
                frames = reader.read()
            except BlockingIOError:
                continue
            except OSError:
                frames = None
            if frames is None:
                selector.unregister(key.fileobj)
                continue
            data, bounds = frames
            for start, end in pairwise(bounds):
                message = _decoder.decode(data[start + 4 : end])
                if isinstance(message, Assignment):
                    outbox.put(frame(Started(message.trial, message.attempt, 0, "virtual")))
                    heappush(agenda, (time.monotonic() + Random(message.trial).random(), message.trial, 1, outbox))
        now = time.monotonic()
        while agenda and agenda[0][0] <= now:
            due, trial, number, outbox = heappop(agenda)
            outbox.flush()
            outbox.put(frame(Report(trial, 1, number, {"score": 1 - 1 / (number + trial)}, float(number))))
            if number == reports:
                outbox.put(frame(Ended(trial, 1, "done")))
            else:
                heappush(agenda, (due + 1.0, trial, number + 1, outbox))


if __name__ == "__main__":
    main([int(text) for text in sys.argv[2:]], int(sys.argv[1]))
