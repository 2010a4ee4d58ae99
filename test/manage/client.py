"""An HTTP client that sends what it is told: paths are not touched, no header is added but those that HTTP/1.1 needs."""

import base64
import http.client
import json

TIMEOUT_S = 20


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Answer:
    def __init__(self, method, path, response, body):
        self.method, self.path = method, path
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def __repr__(self):
        return f"{self.method} {self.path}: {self.status} {self.text[:400]}"


class Client:
    """One user's requests, over one connection that is kept. Not for several threads."""

    def __init__(self, port, user="guest", password="guest", host="127.0.0.1", watch=None):
        """`watch(answer)` is called with every answer."""
        self.host, self.port = host, port
        self.authorization = basic(user, password) if user else None
        self.watch = watch
        self.connection = None

    def request(self, method, path, body=None, headers=None):
        """`body`: bytes or text as it is, anything else as JSON."""
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers = {"content-type": "application/json", **(headers or {})}
        if isinstance(body, str):
            body = body.encode()
        headers = dict(headers or {})
        if self.authorization and "authorization" not in {name.lower() for name in headers}:
            headers["authorization"] = self.authorization
        headers = {name: value for name, value in headers.items() if value is not None}
        answer = self._exchange(method, path, body, headers)
        if self.watch:
            self.watch(answer)
        return answer

    def _exchange(self, method, path, body, headers):
        for is_last in (False, True):       # a kept connection may have been closed meanwhile
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT_S)
                is_last = True
            try:
                self.connection.request(method, path, body, headers)
                response = self.connection.getresponse()
                answer = Answer(method, path, response, response.read())
            except (ConnectionError, http.client.BadStatusLine):
                self.close()
                if is_last:
                    raise
                continue
            if response.will_close:
                self.close()
            return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def put(self, path, body=None, **more):
        return self.request("PUT", path, {} if body is None else body, **more)

    def post(self, path, body=None, **more):
        return self.request("POST", path, {} if body is None else body, **more)

    def delete(self, path, **more):
        return self.request("DELETE", path, **more)

    def ok(self, method, path, body=None):
        """The answer of a request that has to succeed."""
        answer = self.request(method, path, body)
        assert answer.status < 300, answer
        return answer

    def fetch(self, path):
        """What a GET gives, decoded."""
        return self.ok("GET", path).json
