"""Loopback helpers: free ports, and waiting until something answers."""

import socket
import time

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"


def free_ports(count=1):
    """Ports that were free a moment ago, all different."""
    sockets = []
    try:
        for _ in range(count):
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            sockets.append(s)
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def answers_amqp(port, host="127.0.0.1", timeout_s=2.0):
    """True when the peer greets an AMQP 0-9-1 client with a method frame (connection.start)."""
    try:
        with socket.create_connection((host, port), timeout_s) as s:
            s.settimeout(timeout_s)
            s.sendall(PROTOCOL_HEADER)
            return s.recv(1) == b"\x01"
    except OSError:
        return False


def wait_until(ready, timeout_s, what, interval_s=0.02):
    """Polls `ready()` until it gives something true and returns that."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = ready()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: nothing within {timeout_s} s")
        time.sleep(interval_s)
