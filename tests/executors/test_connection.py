import socket
import time

import pytest

from tunesmith.executors.connection import AgentLine
from tunesmith.worker.wire import Alive, frame


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    return one, other


def received(line):
    """Return what comes next; an error is raised."""
    until = time.monotonic() + 5
    while (messages := line.receive()) == []:
        assert time.monotonic() < until
    return messages


def test_an_agent_that_is_killed_with_something_unread_has_ended_after_all_that_it_said():
    ours, its = socket.socketpair()
    line = AgentLine(ours)
    its.sendall(frame(Alive(1.0)))
    line.greet(2.0)

    its.close()

    assert received(line) == [Alive(1.0)]
    assert received(line) is None
    line.close(0.0)


def test_over_a_network_nobody_knows_what_that_means():
    ours, its = tcp_pair()
    line = AgentLine(ours)
    line.greet(2.0)
    assert its.recv(1)

    its.close()

    with pytest.raises(ConnectionResetError):
        received(line)
    line.close(0.0)
