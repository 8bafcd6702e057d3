"""The test bed: one in-memory S3, a boto3 client, four tools that put and get, and the worker."""

import functools
import hashlib
import json
import random
import subprocess
import pathlib

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


class Result:
    """What a run of the worker gave."""

    def __init__(self, done, receipt, usage):
        self.code, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.receipt, self.usage = receipt, usage

    def __str__(self):
        return f"exit code {self.code}, standard error {self.err[-1500:].decode(errors='replace')!r}"


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

    def worker(self, *args, route=None, stdin=None, code=eft.DONE, measured=False, command="transfer"):
        """Runs the worker; checks its exit code; gives receipt and, if measured, usage."""
        receipt, usage = self.path(".receipt.json"), self.path(".usage.json")
        line = [eft.WORKER, command]
        if measured:
            line = [eft.TOOLS / "python", "-I", "-S", eft.OWN / "common" / "measure.py", usage, *line]
        if command == "transfer":
            line += ["--quiet", "--receipt", receipt]
        if route is not None:
            line += ["--route", self.file(route.encode(), ".yaml")]
        line = [str(part) for part in [*line, *args]]
        done = subprocess.run(line, env=self.server.env, input=stdin if stdin is not None else b"", capture_output=True, timeout=TIMEOUT, check=False)
        document = json.loads(receipt.read_text()) if receipt.exists() else {}
        result = Result(done, document.get("receipt", document), json.loads(usage.read_text()) if usage.exists() else None)
        assert result.code == code, f"expected exit code {code}: {result}"
        result.receipt_path = receipt
        return result

    def transfer(self, key, route=None, to=None, flags=(), **options):
        """From `in-files` to the same name in `out-files`."""
        return self.worker(*flags, f"s3://in-files/{key}", f"s3://out-files/{to or key}", route=route, **options)
