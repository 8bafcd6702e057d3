"""An issuer of tokens on loopback, as an identity provider is one: its keys are looked up by OpenID Connect Discovery.

People sign in by an authorization code with PKCE. Who they are they choose on a page: it is for this machine only.
"""

import base64
import contextlib
import hashlib
import hmac
import html
import http.server
import json
import secrets
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# A token of an hour outlives every demo, and a second of the clock's difference.
LIFE = 3600
AUDIENCE = "eft"
KEY_ID = "local"
# A code is exchanged at once, by a page that was just sent it.
CODE_LIFE = 60
MOST_BODY = 1 << 16


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in: `scopes` are the most that a token of theirs says."""

    subject: str
    name: str
    what: str
    tenant: str
    scopes: tuple


PEOPLE = {
    person.subject: person
    for person in (
        Person("vera", "Vera Viewer", "looks at jobs and routes of acme", "acme", ("config:read", "jobs:read")),
        Person("otto", "Otto Operator", "looks, and acts on jobs of acme", "acme", ("config:read", "jobs:write")),
        Person("ada", "Ada Admin", "changes routes of acme, and acts on its jobs", "acme", ("config:write", "jobs:write")),
        Person("olga", "Olga Operations", "runs the platform", "platform", ("admin",)),
    )
}


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """Signs tokens (RS256) with a key that nobody has after it."""

    def __init__(self):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.url = None
        # Of tokens that are signed from now on, in seconds.
        self.life = LIFE
        # Of each client, where it may have people sent back to.
        self._clients = {}
        self._codes, self._lock = {}, threading.Lock()

    def register(self, client, redirect_uri):
        """Lets people sign in to a public client, which is at this address."""
        self._clients[client] = redirect_uri

    def documents(self):
        """What it publishes, by path."""
        public = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": number(public.n), "e": number(public.e)}
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": True,
            },
            "/keys": {"keys": [key]},
        }

    def token(self, tenant, scope, subject="ann", **claims):
        """A token for a tenant. `scope`: such as `config:write`, `jobs:read` or `admin`."""
        return self._signed({"aud": AUDIENCE, "sub": subject, "tenant": tenant, "scope": scope, **claims})

    def _signed(self, claims):
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        body = {"iss": self.url, "iat": now, "exp": now + self.life, **claims}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, body))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url(signature)}"

    def asked(self, words):
        """A request to sign in: where to send whoever asks back to, and what is wrong with it, if anything is.

        Nobody is sent to an address that is not the client's.
        """
        client, back = words.get("client_id"), words.get("redirect_uri")
        if client is None or self._clients.get(client) != back:
            return None, "no client is known that has people sent back to there"
        if words.get("response_type") != "code":
            return back, "unsupported_response_type"
        if words.get("code_challenge_method") != "S256" or not words.get("code_challenge") or "openid" not in words.get("scope", "").split():
            return back, "invalid_request"
        return back, None

    def code(self, words, person):
        """A code for somebody who has signed in, with what it is good for."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            self._codes[code] = (time.monotonic(), words, person)
        return code

    def exchange(self, words):
        """Tokens for a code, which is used once, whatever comes of it; nothing where it is not good."""
        with self._lock:
            made, asked, person = self._codes.pop(words.get("code"), (0, None, None))
        if asked is None or time.monotonic() - made > CODE_LIFE or words.get("grant_type") != "authorization_code":
            return None
        if any(words.get(name) != asked[name] for name in ("client_id", "redirect_uri")):
            return None
        challenge = base64url(hashlib.sha256(words.get("code_verifier", "").encode()).digest())
        if not hmac.compare_digest(challenge.encode(), asked["code_challenge"].encode()):
            return None
        wanted = asked["scope"].split()
        scope = " ".join(scope for scope in person.scopes if scope in wanted)
        known = {"sub": person.subject, "name": person.name, "aud": asked["client_id"]}
        nonce = {"nonce": asked["nonce"]} if "nonce" in asked else {}
        return {
            "access_token": self.token(person.tenant, scope, person.subject),
            "id_token": self._signed({**known, **nonce}),
            "token_type": "Bearer",
            "expires_in": self.life,
            "scope": scope,
        }


def page(words):
    """Who somebody wants to be."""
    kept = "".join(f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">' for name, value in words.items())
    people = "".join(
        f'<p><button name="person" value="{person.subject}">{html.escape(person.name)}</button> {html.escape(person.what)}</p>'
        for person in PEOPLE.values()
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in</title><h1>Sign in</h1><p>This issuer is for one machine: choose who you are.</p>
<form method="post" action="/authorize">{kept}{people}</form></html>"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Requests to `issuer`, which a class of its own names."""

    issuer: Issuer

    def answer(self, status, body=b"", kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode() if kind == "application/json" else body.encode()
        self.send_response(status)
        sent = {"content-type": kind, "content-length": str(len(body)), "cache-control": "no-store"}
        # Pages of other origins ask for the documents and for tokens, and for nothing else.
        shared = {"access-control-allow-origin": "*"} if kind == "application/json" else {}
        for name, value in {**sent, **shared, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            words = dict(parse_qsl(parts.query))
            if not self.refused(words):
                policy = {"content-security-policy": "default-src 'none'; frame-ancestors 'none'"}
                self.answer(200, page(words), "text/html; charset=utf-8", **policy)
            return
        document = self.issuer.documents().get(parts.path)
        self.answer(200 if document else 404, document)

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if length > MOST_BODY:
            self.close_connection = True
            self.answer(413)
            return
        words = dict(parse_qsl(self.rfile.read(length).decode("utf-8", "replace")))
        if self.path == "/token":
            tokens = self.issuer.exchange(words)
            self.answer(200 if tokens else 400, tokens or {"error": "invalid_grant"})
        elif self.path == "/authorize":
            person = PEOPLE.get(words.pop("person", None))
            if not self.refused(words):
                self.back(words, **({"code": self.issuer.code(words, person)} if person else {"error": "access_denied"}))
        else:
            self.answer(404)

    def refused(self, words):
        """Whether a request to sign in was wrong, and was answered."""
        back, wrong = self.issuer.asked(words)
        if back is None:
            self.answer(400, wrong, "text/plain; charset=utf-8")
        elif wrong:
            self.back(words, error=wrong)
        return wrong is not None

    def back(self, words, **said):
        state = {"state": words["state"]} if "state" in words else {}
        query = urlencode({**said, **state, "iss": self.issuer.url})
        self.answer(303, kind="text/plain", location=f"{words['redirect_uri']}?{query}")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def issuer():
    """One that answers at `url` until the end of the block."""
    it = Issuer()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"issuer": it}))
    it.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
