import socket
import threading

import pytest

from tunesmith.worker.handshake import NotAuthenticError, admit, introduce, new_key, new_name


def both_ends(driver_key, agent_key, name):
    """Return what each side of a handshake came to: a name, None, or its error."""
    ours, its = socket.socketpair()
    ours.settimeout(5)
    its.settimeout(5)
    outcomes = {}

    def side(label, sock, act):
        try:
            outcomes[label] = act()
        except (NotAuthenticError, OSError) as error:
            outcomes[label] = error
            sock.close()

    agent = threading.Thread(target=side, args=("agent", its, lambda: introduce(its, agent_key, name)))
    agent.start()
    side("driver", ours, lambda: admit(ours, driver_key))
    agent.join()
    ours.close()
    its.close()
    return outcomes


def test_who_knows_the_key_is_admitted_by_its_name():
    key, name = new_key(), new_name()

    assert both_ends(key, key, name) == {"driver": name, "agent": None}


def test_who_does_not_know_it_is_refused_by_both_sides():
    outcomes = both_ends(new_key(), new_key(), new_name())

    assert isinstance(outcomes["driver"], NotAuthenticError)
    assert isinstance(outcomes["agent"], NotAuthenticError)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"TSM1", b"TSM1" + b"\0" * 200])
def test_anything_else_is_refused_whatever_it_says(said):
    ours, its = socket.socketpair()
    ours.settimeout(5)
    with ours, its:
        its.sendall(said)
        its.shutdown(socket.SHUT_WR)

        with pytest.raises(NotAuthenticError):
            admit(ours, new_key())


def test_a_proof_cannot_be_used_again():
    key, name = new_key(), new_name()
    ours, its = socket.socketpair()
    heard = []

    class Overheard:
        def recv(self, count):
            return its.recv(count)

        def sendall(self, data):
            heard.append(data)
            its.sendall(data)

    with ours, its:
        driver = threading.Thread(target=admit, args=(ours, key))
        driver.start()
        introduce(Overheard(), key, name)
        driver.join()
    ours, its = socket.socketpair()
    with ours, its:
        for data in heard:
            its.sendall(data)

        with pytest.raises(NotAuthenticError):
            admit(ours, key)
