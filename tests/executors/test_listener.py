import socket
import threading

import pytest

from tunesmith.executors import listener as module
from tunesmith.executors.listener import Listener
from tunesmith.worker.handshake import NotAuthenticError, introduce, new_key, new_name


@pytest.fixture
def listening():
    called = threading.Event()
    listener = Listener(called.set, host="127.0.0.1")
    yield listener, called
    listener.close()


def connected(listener, key, name):
    sock = socket.create_connection(("127.0.0.1", listener.port), timeout=5)
    try:
        introduce(sock, key, name)
    except BaseException:
        sock.close()
        raise
    return sock


def test_an_agent_that_knows_the_key_can_be_taken_and_spoken_with(listening):
    listener, called = listening
    name = new_name()

    agent = connected(listener, listener.key, name)

    assert called.wait(5)
    [(found, sock)] = listener.taken()
    sock.settimeout(5)
    agent.sendall(b"hello")
    assert (found, sock.recv(5)) == (name, b"hello")
    assert listener.taken() == []
    agent.close()
    sock.close()


def test_strangers_hold_nobody_up(listening):
    listener, called = listening
    silent = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(20)]
    for sock in silent[:5]:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
    with pytest.raises((NotAuthenticError, OSError)):
        connected(listener, new_key(), new_name())

    agent = connected(listener, listener.key, name := new_name())

    assert called.wait(5)
    [(found, sock)] = listener.taken()
    assert found == name
    for each in (*silent, agent, sock):
        each.close()


def test_a_stranger_that_says_nothing_is_let_go(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    listener = Listener(lambda: None, host="127.0.0.1")
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as silent:
        assert silent.recv(1) == b""
    listener.close()


def test_nobody_connects_to_a_closed_one():
    listener = Listener(lambda: None, host="127.0.0.1")
    port = listener.port

    listener.close()

    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=1)
