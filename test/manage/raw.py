"""HTTP as bytes: for what no decent client sends."""

import socket
import time


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:200]}"


class Raw:
    """A connection. `reply()` gives None when the peer has closed it without one."""

    def __init__(self, port, timeout_s=15, receive_bytes=None):
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self.buffer = b""

    def send(self, data):
        """Gives whether all of it was taken."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionError:
            return False
        self.buffer += data
        return bool(data)

    def _until(self, mark):
        while mark not in self.buffer:
            if not self._more():
                return None
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def _exactly(self, size):
        while len(self.buffer) < size:
            if not self._more():
                raise ConnectionError("the reply ended early")
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def reply(self, has_body=True):
        head = self._until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        status = int(first.split()[1])
        body = b""
        if status == 100:
            return self.reply(has_body)
        if not has_body or status in (204, 304):
            pass
        elif "chunked" in headers.get("transfer-encoding", ""):
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                body += self._exactly(size)
                self._exactly(2)
            self._until(b"\r\n")
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        else:
            while self._more():
                pass
            body, self.buffer = self.buffer, b""
        return Reply(status, headers, body)

    def is_closed(self, within_s=15):
        """Whether the peer closes it in time, whatever it sends before."""
        deadline = time.monotonic() + within_s
        try:
            while time.monotonic() < deadline:
                self.socket.settimeout(max(0.01, deadline - time.monotonic()))
                if not self._more():
                    return True
        except TimeoutError:
            pass
        return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def request(method="GET", path="/api/whoami", body=b"", headers=(), authorization="Basic Z3Vlc3Q6Z3Vlc3Q=", length=None):
    lines = [f"{method} {path} HTTP/1.1".encode("latin-1"), b"Host: broker"]
    if authorization:
        lines.append(b"Authorization: " + authorization.encode())
    if body or length is not None:
        lines.append(b"Content-Length: " + str(len(body) if length is None else length).encode())
    lines += [line if isinstance(line, bytes) else line.encode("latin-1") for line in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
