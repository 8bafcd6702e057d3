"""The portal as it is served: its built files and, under `/v1`, the HTTP API, from one origin. On AWS CloudFront does this."""

import contextlib
import http.client
import http.server
import json
import threading
from urllib.parse import urlsplit

import eft

SITE = eft.OWN.parent.parent / "control/portal/dist/site"
CLIENT = "eft-portal"
SCOPE = "openid profile config:read config:write jobs:read jobs:write admin"
KINDS = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8"}
# What of a request the API is asked, and of its answer the page is given. Everything else is of one connection, or of nobody.
ASKED = ("accept", "authorization", "content-type", "idempotency-key", "if-match", "if-none-match")
GIVEN = ("allow", "content-type", "etag", "idempotency-replayed", "location", "retry-after", "www-authenticate")
# API Gateway takes no more.
MOST_BODY = 10 << 20
# Longer than API Gateway waits for a function (30 s).
WITHIN = 35


def is_built():
    return (SITE / "index.html").exists()


def built():
    """The files by the paths under which they are served."""
    if not is_built():
        raise SystemExit(f"{SITE} is not there: `npm ci && npm run build` in control/portal makes it")
    files = {f"/{path.relative_to(SITE)}": path for path in SITE.rglob("*") if path.suffix in KINDS}
    return {path: (KINDS[file.suffix], file.read_bytes()) for path, file in files.items()}


def policy(issuer):
    """What the page may do: run its own script, and ask the APIs and the issuer."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {issuer}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


class Handler(http.server.BaseHTTPRequestHandler):
    """Requests of the page. `files`, `api` and `headers` are of a class of its own for each server."""

    protocol_version = "HTTP/1.1"
    files, api, safe = {}, None, {}

    def handle(self):
        # A page that was left does not wait for what it has asked.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def answer(self, status, kind, body, **headers):
        self.send_response(status)
        sent = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store", **self.safe, **headers}
        for name, value in sent.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self):
        path = urlsplit(self.path).path
        if path.startswith("/v1/"):
            self.pass_on()
            return
        kind, body = self.files.get("/index.html" if path == "/" else path, (None, None))
        if body is None:
            self.answer(404, "text/plain", b"there is nothing here\n")
        elif path.startswith("/assets/"):
            # Their names say what is in them.
            self.answer(200, kind, body, **{"cache-control": "public, max-age=31536000, immutable"})
        else:
            self.answer(200, kind, body)

    do_HEAD = do_GET

    def do_POST(self):
        self.pass_on()

    do_PUT = do_DELETE = do_POST

    def pass_on(self):
        length = int(self.headers.get("content-length") or 0)
        if not self.path.startswith("/v1/") or length > MOST_BODY:
            # The body is left unread, and the next request could not be told from it.
            self.close_connection = True
            self.answer(413 if length > MOST_BODY else 404, "text/plain", b"")
            return
        body = self.rfile.read(length) if length else None
        headers = {name: self.headers[name] for name in ASKED if name in self.headers}
        connection = http.client.HTTPConnection(self.api.hostname, self.api.port, timeout=WITHIN)
        try:
            connection.request(self.command, self.api.path + self.path, body, headers)
            got = connection.getresponse()
            given = {name: got.headers[name] for name in GIVEN if name in got.headers}
            status, text = got.status, got.read()
        except OSError as fault:
            status, given, text = 502, {"content-type": "application/json"}, json.dumps({"message": str(fault)}).encode()
        finally:
            connection.close()
        self.answer(status, given.pop("content-type", None), text, **given)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def portal(it):
    """Serves it on a free port of the loopback interface, for people of the platform's issuer; gives its address."""
    issuer = it.tokens.url
    settings = {"issuer": issuer, "clientId": CLIENT, "scope": SCOPE}
    given = {
        "files": {**built(), "/portal.json": ("application/json", json.dumps(settings).encode())},
        "api": urlsplit(it.api.url),
        "safe": {
            "content-security-policy": policy(issuer),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-opener-policy": "same-origin",
        },
    }
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), given))
    # Connections that a browser keeps open are not waited for.
    server.daemon_threads = True
    url = f"http://127.0.0.1:{server.server_port}/"
    it.tokens.register(CLIENT, url)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
