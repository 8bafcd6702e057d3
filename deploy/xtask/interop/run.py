"""Gates of the worker, and other S3 clients before and after it. Arguments: parts of the names of tests to run."""

import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import codecs_in
import codecs_out
import gates
import objects
from bed import Bed

import eft

CLIENTS = eft.OWN.parent.parent / "loadtest" / "s3" / "tests" / "clients.py"


def run(bed, title, test):
    begun = time.monotonic()
    try:
        test(bed)
        left = bed.server.ask("/_uploads")
        assert not left, f"uploads left open: {left}"
    except Exception:  # noqa: BLE001: one report a test, whatever went wrong
        print(f"FAIL {title}\n{traceback.format_exc()}", flush=True)
        for upload in bed.server.ask("/_uploads"):
            bed.s3.abort_multipart_upload(Bucket=upload["bucket"], Key=upload["key"], UploadId=upload["upload_id"])
        return False
    print(f"ok   {title} ({time.monotonic() - begun:.1f} s)", flush=True)
    return True


def tests(*modules):
    for module in modules:
        for name in vars(module):
            if name.startswith("test_"):
                yield f"{module.__name__}.{name.removeprefix('test_')}", getattr(module, name)


def main():
    eft.end_cleanly()
    names = sys.argv[1:]
    for tool in ["gzip", "zstd"]:
        print(f"{tool}: {shutil.which(tool) or 'no program of this name; the Python module only'}")
    clients = 0
    if CLIENTS.exists() and not names:
        print("the in-memory S3 itself, with other clients:", flush=True)
        with eft.server() as server:
            clients = subprocess.run([sys.executable, CLIENTS, "--endpoint", server.endpoint], check=False).returncode
        print("the worker:", flush=True)
    passed, failed = 0, 0
    with eft.server() as server, tempfile.TemporaryDirectory() as folder:
        bed = Bed(server, folder)
        for title, test in tests(gates, objects, codecs_in, codecs_out):
            if names and not any(part in title for part in names):
                continue
            if run(bed, title, test):
                passed += 1
            else:
                failed += 1
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or clients or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
