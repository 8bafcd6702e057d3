"""Places that are missing, closed, taken, full, or changed by somebody else meanwhile."""

import contextlib
import os
import pathlib
import resource
import shlex
import signal
import subprocess

from bed import noise, same, until

import eft

MIB = eft.MIB
STREAM = ["--no-server-copy", "--part-size", "5MiB", "--concurrency", "2"]
# Slow enough for a test to do something meanwhile.
SLOW_PARTS = {"op": "UploadPart", "kind": "latency", "ms": 300}


def uploading(bed, key):
    """Waits until a part of the object has been taken."""

    def wait(_):
        def under_way():
            return any(upload["key"] == key and upload["parts"] for upload in bed.server.ask("/_uploads"))

        until(f"{key} is being uploaded", under_way)

    return wait


def test_missing_object(bed):
    bed.put("missing/there", b"x")
    version = bed.put("missing/deleted", b"x")["VersionId"]
    bed.s3.delete_object(Bucket="in-files", Key="missing/deleted", VersionId=version)
    bed.s3.delete_object(Bucket="in-files", Key="missing/there")
    for source in [
        "s3://in-files/missing/never",
        "s3://in-files/missing/there",
        f"s3://in-files/missing/deleted?versionId={version}",
        "s3://no-such-bucket/missing",
        bed.path(),
        bed.path() / "in" / "no" / "folder",
    ]:
        bed.refused("source.gone", source, "s3://out-files/missing/x", says=[source], receipt=False)


def test_object_deleted_while_it_is_read(bed):
    bed.put("missing/meanwhile", noise(12 * MIB))
    gone = {"op": "GetObject", "bucket": "in-files", "kind": "error", "code": "NoSuchVersion", "skip": 1}
    with bed.faults(gone):
        line = [*STREAM, "s3://in-files/missing/meanwhile", "s3://out-files/missing/meanwhile"]
        bed.refused("source.gone", *line, says=["s3://in-files/missing/meanwhile", "NoSuchVersion"])


def test_object_replaced_while_it_is_read(bed):
    replace = {"op": "GetObject", "bucket": "in-files", "kind": "replace_object", "times": 1}
    # A version is pinned: who replaces the object does not change what is read.
    bed.put("replaced/versioned", noise(12 * MIB))
    with bed.faults(replace):
        bed.transfer("replaced/versioned", flags=STREAM)
        current = bed.get("replaced/versioned", "in-files")
    assert current != noise(12 * MIB), "the object was not replaced"
    same("the pinned version", bed.get("replaced/versioned"), noise(12 * MIB))
    with bed.beside("--profile", "no-versions") as other:
        for name, size in [("large", 12 * MIB), ("larger", 40 * MIB)]:
            source, target = f"s3://in-files/replaced/{name}", f"s3://out-files/replaced/{name}"
            other.put(f"replaced/{name}", noise(size))
            with other.faults(replace):
                other.refused("source.changed", *STREAM, source, target, says=[source, "replaced while it was read"])


def test_file_changed_while_it_is_read(bed):
    source, target = bed.file(noise(40 * MIB)), "s3://out-files/replaced/file"

    def grow(process):
        uploading(bed, "replaced/file")(process)
        with source.open("ab") as file:
            file.write(b"more")

    with bed.faults(SLOW_PARTS):
        says = [source, "changed while it was read"]
        # Too little memory to have read it all before the first parts have arrived.
        bed.refused("source.changed", *STREAM, "--memory", "16MiB", source, target, says=says, during=grow)


def test_no_permission(bed):
    denied = ["--deny", "in-files/secret", "--deny", "out-files/vault", "--deny", "sealed", "--bucket", "sealed"]
    with bed.beside(*denied) as other:
        for source in ["s3://in-files/secret/a", "s3://sealed/a"]:
            other.refused("source.access", source, "s3://out-files/secret", says=[source], receipt=False)
        for size in (100, 12 * MIB):
            other.put("open", noise(size))
            for target in ["s3://out-files/vault/a", "s3://sealed/a"]:
                result = other.worker(*STREAM, "s3://in-files/open", target, code=eft.FAILED)
                assert result.said.startswith("eft-worker: destination.access: ") and target in result.said, result
                other.refused_in(result, "destination.access")
            for name in ["vault", "sealed"]:
                stored = [r for r in other.server.ask("/_log") if name in r["bucket"] + r["key"] and r["status"] == 200]
                assert not stored, stored
    # Denied in the middle: a policy that changed, a key that was disabled.
    bed.put("denied/meanwhile", noise(12 * MIB))
    line = [*STREAM, "s3://in-files/denied/meanwhile", "s3://out-files/denied/meanwhile"]
    for op, code in [
        ("GetObject", "source.access"),
        ("CreateMultipartUpload", "destination.access"),
        ("UploadPart", "destination.access"),
        ("CompleteMultipartUpload", "destination.access"),
    ]:
        with bed.faults({"op": op, "key_prefix": "denied/", "kind": "error", "code": "AccessDenied"}):
            bed.refused(code, *line, says=["/denied/meanwhile", "AccessDenied"])


def test_no_permission_for_files(bed):
    bed.put("denied/file", b"x")
    if os.geteuid() != 0:
        closed = bed.path()
        (closed / "in").mkdir(parents=True)
        closed.chmod(0)
        try:
            source, target = closed / "in", closed / "out"
            bed.refused("source.access", source, "s3://out-files/denied/x", says=[source], receipt=False)
            result = bed.worker("s3://in-files/denied/file", target, code=eft.FAILED)
            assert result.said.startswith("eft-worker: destination.access: ") and str(target.parent) in result.said, result
        finally:
            closed.chmod(0o700)
        return
    sealed = pathlib.Path("/sys/eft-refused")
    if not sealed.parent.is_dir():
        print("     root may read and write every folder, and there is no /sys: files not tested, S3 only")
        return
    print("     root may read every folder: a file in /sys, which takes none, stands for a closed folder")
    bed.refused("destination.access", "s3://in-files/denied/file", sealed, says=[sealed.parent])


def test_destination_exists(bed):
    for size in (100, 12 * MIB):
        bed.put("taken/s3", noise(size))
        bed.s3.put_object(Bucket="out-files", Key="taken/s3", Body=b"theirs")
        line = [*STREAM, "s3://in-files/taken/s3"]
        target = "s3://out-files/taken/s3"
        bed.refused("destination.exists", *line, target, says=[target, "taken"], visible=True)
        same("what stood there", bed.get("taken/s3"), b"theirs")
        target = bed.file(b"theirs")
        bed.refused("destination.exists", *line, target, says=[target, "taken"], visible=True)
        same("the file that stood there", target.read_bytes(), b"theirs")
        assert not list(target.parent.glob(f".{target.name}.*")), "a temporary file was left"
    folder, link = bed.path(), bed.path()
    folder.mkdir()
    link.symlink_to("nowhere")
    for target in (folder, link):
        bed.refused("destination.exists", *line, target, says=[target], visible=True)


def test_destination_taken_meanwhile(bed):
    source = "s3://synthetic/taken-40MiB"
    bed.put("taken/source", noise(100))
    # A large one when all its parts are there, a small one when it is about to be read.
    last = {"taken/meanwhile": {"op": "CompleteMultipartUpload", "kind": "hold"}, "taken/small": {"op": "GetObject", "kind": "hold"}}
    for key, held in last.items():
        given, target = source if key == "taken/meanwhile" else "s3://in-files/taken/source", f"s3://out-files/{key}"
        take = bed.held(lambda _, key=key: bed.s3.put_object(Bucket="out-files", Key=key, Body=b"theirs"))
        with bed.faults(held):
            bed.refused("destination.exists", *STREAM, given, target, says=[target, "taken"], visible=True, during=take)
        same("what was put there meanwhile", bed.get(key), b"theirs")

    target = bed.path()

    def write(_):
        until("the file is being written", lambda: list(target.parent.glob(f".{target.name}.*")))
        target.write_bytes(b"theirs")

    with bed.faults({"op": "GetObject", "bucket": "synthetic", "kind": "bandwidth", "bytes_per_second": 20 * MIB}):
        bed.refused("destination.exists", *STREAM, source, target, says=[target, "taken"], visible=True, during=write)
    same("the file that was written meanwhile", target.read_bytes(), b"theirs")
    assert not list(target.parent.glob(f".{target.name}.*")), "a temporary file was left"


def test_destination_missing(bed):
    for size in (100, 12 * MIB):
        bed.put("nowhere", noise(size))
        bucket, folder = "s3://no-such-bucket/nowhere", bed.path()
        result = bed.worker(*STREAM, "s3://in-files/nowhere", bucket, code=eft.FAILED)
        assert result.said.startswith("eft-worker: destination.missing: "), result
        assert bucket in result.said, result
        bed.refused_in(result, "destination.missing")
        bed.refused("destination.missing", *STREAM, "s3://in-files/nowhere", folder / "x", says=[folder])
        assert not folder.exists(), "a folder was made"


def small_files(limit):
    """A limit on the size of files: writes beyond it fail as on a full disk, with EFBIG instead of ENOSPC."""

    def before_exec():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    # Python would give the signal its deadly default back.
    return {"preexec_fn": before_exec, "restore_signals": False}


def test_disk_full_by_a_limit_on_files(bed):
    for size in (2 * MIB, 40 * MIB):
        bed.put("full/file", noise(size))
        target = bed.path()
        bed.refused("destination.full", *STREAM, "s3://in-files/full/file", target, says=[target.name], **small_files(MIB))


def test_disk_full_by_a_full_device(bed):
    """Standard output to a device that is always full (ENOSPC)."""
    bed.put("full/device", noise(2 * MIB))
    with contextlib.ExitStack() as stack:
        try:
            full = stack.enter_context(open("/dev/full", "wb"))
        except OSError as error:
            print(f"     {error}: not tested here")
            return
        bed.refused("destination.full", "s3://in-files/full/device", "-", says=["standard output"], stdout=full)


def test_disk_full_by_a_small_file_system(bed):
    """A file system of 4 MiB in a mount namespace that ends with the worker."""
    folder, script = bed.path(), bed.path(".sh")
    folder.mkdir()
    own = ["unshare", "--mount", "--map-root-user", "sh"]
    mount = f"mount -t tmpfs -o size=4m eft-full {shlex.quote(str(folder))}"
    try:
        tried = subprocess.run([*own, "-c", mount], capture_output=True, check=False)
        why = tried.stderr.decode().strip() if tried.returncode else None
    except FileNotFoundError as error:
        why = str(error)
    if why:
        print(f"     no file system of its own here ({why}): the limit on files stands for it")
        return
    bed.put("full/disk", noise(12 * MIB))
    # What is left is listed from inside: nobody else sees the file system.
    script.write_text(f'{mount} || exit 99\n"$@"\ncode=$?\nls -A {shlex.quote(str(folder))}\nexit $code\n')
    receipt = bed.path(".receipt.json")
    line = [eft.WORKER, "transfer", "--quiet", "--receipt", receipt, *STREAM, "s3://in-files/full/disk", folder / "x"]
    done = subprocess.run([*own, script, *map(str, line)], env=bed.server.env, capture_output=True, check=False, timeout=60)
    said = done.stderr.decode()
    assert done.returncode == eft.FAILED and said.startswith("eft-worker: destination.full: "), (done.returncode, said)
    assert "No space left" in said and str(folder) in said, said
    assert not done.stdout, f"left behind: {done.stdout}"
