"""An issuer of tokens on loopback, as an identity provider is one: its keys are looked up by OpenID Connect Discovery."""

import base64
import contextlib
import http.server
import json
import threading
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

# A token of an hour outlives every demo, and a second of the clock's difference.
LIFE = 3600
AUDIENCE = "eft"
KEY_ID = "local"


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value):
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


class Issuer:
    """Signs tokens (RS256) with a key that nobody has after it."""

    def __init__(self):
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.url = None

    def documents(self):
        """What it publishes, by path."""
        public = self._key.public_key().public_numbers()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": number(public.n), "e": number(public.e)}
        return {
            "/.well-known/openid-configuration": {"issuer": self.url, "jwks_uri": f"{self.url}/keys"},
            "/keys": {"keys": [key]},
        }

    def token(self, tenant, scope, subject="ann", **claims):
        """A token for a tenant. `scope`: such as `config:write`, `jobs:read` or `admin`."""
        now = int(time.time())
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        body = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "tenant": tenant, "scope": scope, "iat": now, "exp": now + LIFE, **claims}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, body))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url(signature)}"


@contextlib.contextmanager
def issuer():
    """One that answers at `url` until the end of the block."""
    it = Issuer()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            document = it.documents().get(self.path)
            body = json.dumps(document).encode()
            self.send_response(200 if document else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
