"""What the scripts share: places, the in-memory S3 as a process, and the environment that points clients at it.

Imports nothing big: a process that Python starts counts Python's own memory as its peak until it is replaced, so the
scripts that measure must stay small (see measure.py).
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys

MIB = 1 << 20
BIN = pathlib.Path(os.environ["EFT_BIN"])
HOME = pathlib.Path(os.environ["EFT_DIR"])
OWN = pathlib.Path(__file__).resolve().parent.parent
WORKER = BIN / "eft-worker"
# The bounds on memory are of what ships. The code of the tests' programs is larger, and resident as well: 5 to 8 MiB more
# were measured with the same gates.
LARGER_CODE = 10 * MIB if BIN.name == "debug" else 0
TOOLS = pathlib.Path(sys.executable).parent
# The worker's exit codes.
DONE, USAGE, REJECTED, FAILED, INTERRUPTED = 0, 2, 3, 4, 130


def end_cleanly():
    """Makes SIGTERM unwind as Ctrl-C does, so that `with` and `finally` end what was started."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def environment(endpoint, ca=None):
    """The environment of a client of the endpoint, free of what the user has set for the real S3.

    `ca`: a file with who is trusted, for an endpoint over TLS; the first name is of rustls, OpenSSL and Go.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", "S3_", "EFT_"))}
    folder = HOME / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    trusted = dict.fromkeys(("SSL_CERT_FILE", "AWS_CA_BUNDLE"), str(ca)) if ca else {}
    return {
        **own,
        **trusted,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
        "EFT_SIGNING_KEY": str(folder / "signing-key.p8"),
        "S3_ENDPOINT_URL": endpoint,
        "RCLONE_CONFIG": os.devnull,
        "RCLONE_CONFIG_EFT_TYPE": "s3",
        "RCLONE_CONFIG_EFT_PROVIDER": "Other",
        "RCLONE_CONFIG_EFT_ENV_AUTH": "true",
        "RCLONE_CONFIG_EFT_REGION": "us-east-1",
        "RCLONE_CONFIG_EFT_ENDPOINT": endpoint,
        "RCLONE_CONFIG_EFT_FORCE_PATH_STYLE": "true",
        "NO_PROXY": "127.0.0.1,localhost",
    }


class Server:
    """The in-memory S3 on a free port of the loopback interface."""

    def __init__(self, process, endpoint, ca=None):
        self.process, self.endpoint, self.ca = process, endpoint, ca
        self.env = environment(endpoint, ca)

    def ask(self, path, method="GET", document=None):
        """One of the server's own endpoints, such as `/_stats`; `document` is posted as JSON."""
        import urllib.request

        handlers = [urllib.request.ProxyHandler({})]
        if self.ca:
            import ssl

            handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=self.ca)))
        opener = urllib.request.build_opener(*handlers)
        data = (b"" if document is None else json.dumps(document).encode()) if method == "POST" else None
        request = urllib.request.Request(self.endpoint + path, method=method, data=data)
        with opener.open(request, timeout=10) as answer:
            return json.load(answer)

    def client(self):
        """A boto3 client of it."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            verify=self.ca and str(self.ca),
            config=Config(s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 1}),
        )


@contextlib.contextmanager
def server_over_tls(*flags):
    """As `server`, with a certificate of an authority that is made for it."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        subprocess.run([sys.executable, OWN / "common" / "certificates.py", folder], check=True)
        with server("--tls-cert", str(at / "server.pem"), "--tls-key", str(at / "server.key"), *flags, ca=at / "ca.pem") as one:
            yield one


@contextlib.contextmanager
def server(*flags, ca=None):
    """Starts it with buckets `in-files` and `out-files`; ends it, by its id, whatever happens."""
    command = [str(BIN / "eft-s3"), "--listen", "127.0.0.1:0", "--bucket", "in-files", "--bucket", "out-files", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        prefix = "listening on "
        if not line.startswith(prefix):
            raise SystemExit(f"eft-s3 did not start: it said {line!r}")
        yield Server(process, line.removeprefix(prefix).strip(), ca)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
