"""Gates of the worker, and other S3 clients before and after it.

Arguments: parts of the names of tests to run; with a minus before them, of tests to leave out.
"""

import concurrent.futures
import subprocess
import sys
import tempfile
import time
import traceback

import archives
import bombs
import catalogue
import codecs_in
import codecs_out
import concats
import edi_files
import gates
import indeterminate
import objects
import parquet_out
import pgp
import real_files
import records
import refusals_faults
import refusals_input
import refusals_places
import refusals_usage
import scans
import sidecars
import splits
import tees
import tls
import zips_out
from bed import Bed

import eft

MODULES = [
    gates, bombs, catalogue, records, objects, sidecars, scans, splits, tees, tls, archives, concats, codecs_in, codecs_out, zips_out,
    parquet_out, pgp, real_files, edi_files,
    refusals_input, refusals_places, refusals_faults, indeterminate, refusals_usage,
]
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


def chosen(module, names, left_out):
    for name in vars(module):
        title = f"{module.__name__}.{name.removeprefix('test_')}"
        if not name.startswith("test_") or any(part in title for part in left_out):
            continue
        if not names or any(part in title for part in names):
            yield title, getattr(module, name)


def each(tests):
    """The tests of a module, one after the other, in a bed of their own: which of them went well."""
    if not tests:
        return []
    with eft.server() as server, tempfile.TemporaryDirectory() as folder:
        bed = Bed(server, folder)
        return [run(bed, title, test) for title, test in tests]


def main():
    eft.end_cleanly()
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    left_out = [name.removeprefix("-") for name in sys.argv[1:] if name.startswith("-")]
    clients = 0
    if CLIENTS.exists() and not names and not left_out:
        print("the in-memory S3 itself, with other clients:", flush=True)
        with eft.server() as server:
            clients = subprocess.run([sys.executable, CLIENTS, "--endpoint", server.endpoint], check=False).returncode
        print("the worker:", flush=True)
    # Many tests wait for something: two modules at a time.
    pool = concurrent.futures.ThreadPoolExecutor(2)
    try:
        modules = pool.map(each, [list(chosen(module, names, left_out)) for module in MODULES])
        results = [went_well for module in modules for went_well in module]
    finally:
        pool.shutdown(cancel_futures=True)
    failed = results.count(False)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or clients or not results else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
