"""The HTTP API of the stack, as a client of it."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit


class Answer:
    """A status, headers by their names in small letters, and a document."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.body = json.loads(body) if body else None

    def __str__(self):
        return f"{self.status} {json.dumps(self.body)[:800]}"


class Api:
    """`url` is what the stack says; on MiniStack the same API is under a path of its endpoint."""

    def __init__(self, endpoint, url, token=None):
        api = urlsplit(url).hostname.split(".")[0]
        self.url = f"{endpoint}/_aws/execute-api/{api}"
        self._token = token
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def as_(self, token):
        """The same API for whoever has this token."""
        other = object.__new__(Api)
        other.__dict__ = {**self.__dict__, "_token": token}
        return other

    def ask(self, method, path, document=None, **headers):
        """Headers with `_` for `-`."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        data = None
        if document is not None:
            headers["content-type"], data = "application/json", json.dumps(document).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=30) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())
