"""Agents whose workers are virtual: each reports once a second, at a moment of its own. One process for all of them.

To the driver they are agents like any other; only what trains is not there. Called with how many reports each worker
makes, and the descriptors of the sockets.
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


class VirtualAgents:
    """All agents, and what their workers are to do next."""

    def __init__(self, descriptors: list[int], reports: int) -> None:
        self._reports = reports
        self._selector = selectors.DefaultSelector()
        self._agenda: list[tuple[float, int, int, Outbox]] = []
        """(when, trial, number of the report, the trial's line)."""
        for descriptor in descriptors:
            sock = socket.socket(fileno=descriptor)
            sock.setblocking(False)
            outbox = Outbox(sock)
            self._selector.register(sock, selectors.EVENT_READ, (FrameReader(sock), outbox))
            outbox.put(frame(Ready("fork")))

    def run(self) -> None:
        """Serve the drivers at the other ends until they are gone."""
        while self._selector.get_map():
            until = self._agenda[0][0] - time.monotonic() if self._agenda else 1.0
            for key, mask in self._selector.select(max(0.0, min(1.0, until))):
                if mask & selectors.EVENT_WRITE:
                    key.data[1].flush()
                if mask & selectors.EVENT_READ:
                    self._read(key.fileobj, *key.data)
            self._report(time.monotonic())
            for key in list(self._selector.get_map().values()):
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if key.data[1].size else 0)
                if key.events != wanted:
                    self._selector.modify(key.fileobj, wanted, key.data)

    def _read(self, sock: Any, reader: FrameReader, outbox: Outbox) -> None:
        try:
            frames = reader.read()
        except BlockingIOError:
            return
        except OSError:
            frames = None
        if frames is None:
            self._selector.unregister(sock)
            return
        data, bounds = frames
        for start, end in pairwise(bounds):
            message = _decoder.decode(data[start + 4 : end])
            if isinstance(message, Assignment):
                outbox.put(frame(Started(message.trial, message.attempt, 0, "virtual")))
                begin = time.monotonic() + Random(message.trial).random()
                heappush(self._agenda, (begin, message.trial, 1, outbox))

    def _report(self, now: float) -> None:
        agenda = self._agenda
        while agenda and agenda[0][0] <= now:
            due, trial, number, outbox = heappop(agenda)
            outbox.put(frame(Report(trial, 1, number, {"score": 1 - 1 / (number + trial)}, float(number))))
            if number == self._reports:
                outbox.put(frame(Ended(trial, 1, "done")))
            else:
                heappush(agenda, (due + 1.0, trial, number + 1, outbox))


if __name__ == "__main__":
    VirtualAgents([int(text) for text in sys.argv[2:]], int(sys.argv[1])).run()
