import socket
import sys
import threading

import pytest

from tunesmith.executors import listener as module
from tunesmith.executors.listener import Listener
from tunesmith.worker import remote
from tunesmith.worker.addresses import reached
from tunesmith.worker.handshake import NotAuthenticError, introduced, new_key, new_name


@pytest.fixture
def listening():
    called = threading.Event()
    listener = Listener(called.set, host="127.0.0.1")
    yield listener, called
    listener.close()


def connected(listener, key, name):
    return introduced("127.0.0.1", listener.port, key, name, 5.0)


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


@pytest.mark.skipif(sys.platform != "linux", reason="abstract Unix sockets are Linux's")
def test_an_agent_on_the_drivers_machine_comes_by_a_unix_socket(listening):
    listener, called = listening
    call = listener.call(new_name(), ("127.0.0.1",))

    agent, _ = remote.connected(call.addresses, call.port, call.key, call.name)

    assert called.wait(5)
    [(name, sock)] = listener.taken()
    assert (name, agent.family, sock.family) == (call.name, socket.AF_UNIX, socket.AF_UNIX)
    with pytest.raises((NotAuthenticError, OSError)):
        introduced(call.addresses[0], 0, new_key(), new_name(), 5.0)
    agent.close()
    sock.close()


def test_an_agent_elsewhere_does_not_find_it_and_comes_by_tcp(listening):
    listener, called = listening
    name = new_name()

    agent, _ = remote.connected(("@tunesmith-elsewhere", "127.0.0.1"), listener.port, listener.key, name)

    assert called.wait(5)
    [(found, sock)] = listener.taken()
    assert (found, agent.family) == (name, socket.AF_INET)
    assert agent.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
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
    call = listener.call(new_name(), ("127.0.0.1",))

    listener.close()

    for address in call.addresses:
        with pytest.raises(OSError, match="refused"):
            reached(address, call.port, 1.0)
