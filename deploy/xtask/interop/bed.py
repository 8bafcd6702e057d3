"""The test bed: one in-memory S3, a boto3 client, four tools that put and get, and the worker."""

import contextlib
import functools
import hashlib
import json
import pathlib
import random
import subprocess
import tempfile
import time

import eft

TOOLS = ["boto3", "aws", "s5cmd", "rclone"]
# Keys that break careless encoding.
KEYS = ["plain", "with space", "plus+and%25percent", "é/ünï/ключ/日本", "a&b<c>\"d'", "deep//double/slash", "tilde~=;:,@!$()"]
TIMEOUT = 300


@functools.cache
def noise(size):
    """Incompressible bytes, the same every time."""
    return random.Random(size).randbytes(size)


@functools.cache
def table(rows):
    """A CSV that compresses as such files do."""
    lines = (b"%d,%s,2026-01-%02d" % (row, hashlib.sha1(b"%d" % (row // 3)).hexdigest()[:12].encode(), row % 28 + 1) for row in range(rows))
    return b"id,name,day\n" + b"\n".join(lines) + b"\n"


def same(what, got, wanted):
    """Compares bytes without printing megabytes of them."""
    if got != wanted:
        at = next((n for n, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
        raise AssertionError(f"{what}: {len(got):,} bytes, expected {len(wanted):,}; they part at {at:,}")


def exits(code):
    """The exit code that goes with a failure code."""
    group = code.partition(".")[0]
    if code in ("route.invalid", "plan.refused", "keys.unusable", "configuration", "checkpoint.refused"):
        return eft.USAGE
    if group in ("validation", "format", "limit", "archive", "sidecar", "manifest", "crypto") or code in ("source.empty", "scan.infected"):
        return eft.REJECTED
    return eft.INTERRUPTED if code == "interrupted" else eft.FAILED


def outcome(code):
    """The outcome a receipt states with a failure code."""
    if code.endswith(".access"):
        return "HELD"
    return {eft.REJECTED: "REJECTED", eft.INTERRUPTED: "CANCELLED"}.get(exits(code), "FAILED")


class Result:
    """What a run of the worker gave."""

    def __init__(self, code, out, err, receipt, usage):
        self.code, self.out, self.err = code, out, err
        self.receipt, self.usage = receipt, usage

    @property
    def said(self):
        """Standard error as text."""
        return self.err.decode(errors="replace")

    def __str__(self):
        return f"exit code {self.code}, standard error {self.said[-1500:]!r}"


class Bed:
    """Handed to every test."""

    def __init__(self, server, folder):
        self.server, self.folder, self.s3 = server, pathlib.Path(folder), server.client()
        self._count = 0

    def path(self, suffix=""):
        """A fresh file name."""
        self._count += 1
        return self.folder / f"{self._count}{suffix}"

    def file(self, data, suffix=""):
        path = self.path(suffix)
        path.write_bytes(data)
        return path

    def put(self, key, data, **options):
        return self.s3.put_object(Bucket="in-files", Key=key, Body=data, **options)

    def get(self, key, bucket="out-files"):
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def exists(self, key, bucket="out-files"):
        listed = self.s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
        return any(entry["Key"] == key for entry in listed)

    def command(self, name, *args):
        done = subprocess.run([eft.TOOLS / name, *map(str, args)], env=self.server.env, capture_output=True, timeout=TIMEOUT, check=False)
        assert done.returncode == 0, f"{name} {args}: {done.returncode} {done.stdout[-500:]!r} {done.stderr[-1500:]!r}"
        return done.stdout

    def put_with(self, tool, bucket, key, data):
        path = self.file(data)
        if tool == "boto3":
            self.s3.upload_file(str(path), bucket, key)
        elif tool == "aws":
            self.command("aws", "s3", "cp", "--only-show-errors", path, f"s3://{bucket}/{key}")
        elif tool == "s5cmd":
            self.command("s5cmd", "cp", "--part-size", 5, path, f"s3://{bucket}/{key}")
        else:
            self.command("rclone", "copyto", "--retries", 1, "--s3-upload-cutoff", "5Mi", path, f"eft:{bucket}/{key}")
        path.unlink()

    def get_with(self, tool, bucket, key):
        path = self.path()
        if tool == "boto3":
            self.s3.download_file(bucket, key, str(path))
        elif tool == "aws":
            self.command("aws", "s3", "cp", "--only-show-errors", f"s3://{bucket}/{key}", path)
        elif tool == "s5cmd":
            self.command("s5cmd", "--log", "error", "cp", "--raw", f"s3://{bucket}/{key}", path)
        else:
            self.command("rclone", "copyto", "--retries", 1, f"eft:{bucket}/{key}", path)
        data = path.read_bytes()
        path.unlink()
        return data

    def worker(
        self, *args, route=None, stdin=b"", code=eft.DONE, measured=False, command="transfer", during=None, **popen
    ):
        """Runs the worker; checks its exit code; gives receipt and, if measured, usage.

        `during` is called with the process, whose standard input is open until it returns. `popen` goes to the process.
        """
        receipt, usage = self.path(".receipt.json"), self.path(".usage.json")
        line = [eft.WORKER, command]
        if measured:
            line = [eft.TOOLS / "python", "-I", "-S", eft.OWN / "common" / "measure.py", usage, *line]
        if command == "transfer":
            line += ["--quiet", "--receipt", receipt]
        if route is not None:
            line += ["--route", self.file(route if isinstance(route, bytes) else route.encode(), ".yaml")]
        line = [str(part) for part in [*line, *args]]
        pipes = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
        process = subprocess.Popen(line, **{**pipes, "env": self.server.env, **popen})
        try:
            if during is not None:
                during(process)
            out, err = process.communicate(stdin, timeout=TIMEOUT)
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        document = json.loads(receipt.read_text()) if receipt.exists() else {}
        measures = json.loads(usage.read_text()) if usage.exists() else None
        result = Result(process.returncode, out, err, document.get("receipt", document), measures)
        assert result.code == code, f"expected exit code {code}: {result}"
        result.receipt_path = receipt
        return result

    def refused(self, code, *args, says=(), receipt=True, visible=False, **options):
        """A run that fails with this code: exit code, standard error, receipt, and nothing at the destination.

        `says` are parts of the message. `receipt=False` where no run began that one could be about. `visible` where
        something else had the destination's name before.
        """
        result = self.worker(*args, code=exits(code), **options)
        assert result.said.startswith(f"eft-worker: {code}: "), f"expected {code}: {result}"
        for words in says:
            assert str(words) in result.said, f"{str(words)!r} is not said: {result}"
        if receipt:
            self.refused_in(result, code)
        assert visible or not self.stands(args[-1]), f"{code}: something is visible at {args[-1]}"
        return result

    def refused_in(self, result, code):
        """The receipt says so too."""
        failure = result.receipt.get("failure") or {}
        message = f"{failure.get('code')}: {failure.get('message')}"
        assert failure.get("code") == code and message in result.said, f"the receipt says {message!r}: {result}"
        assert result.receipt["outcome"] == outcome(code), (result.receipt["outcome"], code)
        (delivery,) = result.receipt["deliveries"]
        assert delivery["outcome"] != "DELIVERED" and not delivery.get("version_id"), delivery

    def stands(self, uri):
        """Whether something is visible under the name, or was left beside it."""
        uri = str(uri)
        if uri.startswith("s3://"):
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            return self.exists(key, bucket)
        path = pathlib.Path(uri)
        return uri != "-" and (path.exists() or any(path.parent.glob(f".{path.name}.*")))

    @contextlib.contextmanager
    def faults(self, *faults):
        """These faults, such as `{"op": "GetObject", "kind": "cut_body", "after": 1000}`, and a fresh log meanwhile."""
        self.server.ask("/_reset", "POST")
        self.server.ask("/_faults", "POST", faults)
        try:
            yield
        finally:
            self.server.ask("/_faults", "POST", [])

    def held(self, act):
        """To be passed as `during`: acts while a fault of the kind `hold` holds a request, and lets it go."""

        def wait(process):
            until("a request is held", lambda: self.server.ask("/_stats")["held"])
            act(process)
            # Without it nothing fails; but a signal, sent just now, might be taken after the answer and show nothing.
            time.sleep(0.3)
            self.server.ask("/_release", "POST")

        return wait

    @contextlib.contextmanager
    def beside(self, *flags, start=eft.server):
        """A test bed with a server of its own."""
        with start(*flags) as server, tempfile.TemporaryDirectory(dir=self.folder) as folder:
            yield Bed(server, folder)
            left = server.ask("/_uploads")
            assert not left, f"uploads left open: {left}"

    def transfer(self, key, route=None, to=None, flags=(), **options):
        """From `in-files` to the same name in `out-files`."""
        return self.worker(*flags, f"s3://in-files/{key}", f"s3://out-files/{to or key}", route=route, **options)


def until(what, true):
    """Waits for something another process is about to do."""
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.01)
