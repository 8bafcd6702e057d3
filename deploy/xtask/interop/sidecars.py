"""Sidecars that other programs have written, read from where partners put them."""

import gzip
import hashlib
import subprocess

from bed import noise

ANY = "stages:\n  - validate: { sidecar: { object: %s } }\n"
DATA = noise(9_000_000)


def written(folder, program, *names):
    """What a program of coreutils writes of files of a folder."""
    return subprocess.run([program, *names], cwd=folder, stdout=subprocess.PIPE, check=True).stdout


def test_sidecars_of_coreutils(bed):
    folder = bed.path("-from")
    folder.mkdir()
    names = ["a b.csv", "back\\slash.csv", "new\nline.csv", "*star.csv"]
    for name in names:
        (folder / name).write_bytes(DATA + name.encode())
    for program, object in [("md5sum", "MD5SUMS"), ("sha1sum", "sha1sum.txt"), ("sha256sum", "SHA256SUMS"), ("sha512sum", "SHA512SUMS")]:
        for flags in [["--"], ["--binary", "--"], ["--tag", "--"]]:
            (folder / object).write_bytes(written(folder, program, *flags, *names))
            for name in names:
                target = bed.path()
                bed.worker(folder / name, target, route=ANY % object)
                assert target.read_bytes() == DATA + name.encode(), name


def test_a_sidecar_beside_an_object(bed):
    """In S3, in the folder of the source, before bytes are changed; the file is judged as it came."""
    packed = gzip.compress(DATA, 1)
    route = "stages:\n  - validate: sidecar\n  - decompress: { codec: gzip }\n"
    bed.put("sidecar/in/a.gz", packed)
    bed.put("sidecar/in/a.gz.sha256", hashlib.sha256(packed).hexdigest().encode())
    bed.worker("s3://in-files/sidecar/in/a.gz", "s3://out-files/sidecar/a", route=route)
    assert bed.get("sidecar/a") == DATA
    cut = packed[:4_000_000] + b"x" + packed[4_000_001:]
    bed.put("sidecar/in/a.gz", cut)
    says = [f"the sha256 of the file is {hashlib.sha256(cut).hexdigest()}", f"a.gz.sha256 says {hashlib.sha256(packed).hexdigest()}"]
    identity = "stages:\n  - validate: sidecar\n"
    bed.refused("sidecar.mismatch", "s3://in-files/sidecar/in/a.gz", "s3://out-files/sidecar/b", route=identity, says=says)


def test_sidecars_that_are_none(bed):
    source = bed.file(DATA, ".csv")
    sidecar = source.with_name(source.name + ".md5")
    route = ANY % '"{name}.md5"'

    def refused(code, *says):
        bed.refused(code, source, bed.path(), route=route, says=says)

    refused("sidecar.missing", f"{sidecar} is not there")
    for text, *says in [
        (b"", "it is empty"),
        (b"<html>", "line 1 is no digest with a name"),
        (b"0" * 31, "line 1 has 31 digits, a md5 has 32"),
        (b"0" * 32 + b"  other.csv\n", f"the digests of 1 other files and none of `{source.name}`"),
        (b"\n" * ((1 << 20) + 1), f"has {(1 << 20) + 1} bytes, a sidecar at most {1 << 20}"),
    ]:
        sidecar.write_bytes(text)
        refused("sidecar.invalid", *says)
    bed.refused("configuration", "-", bed.path(), route=route, says=["nothing stands beside -"], receipt=False)


def test_a_sidecar_that_changes_between_runs(bed):
    """A checkpoint is of what the sidecar said when it was begun."""
    key = "sidecar/changing"
    bed.put(key, DATA)
    bed.put(key + ".sha256", hashlib.sha256(DATA).hexdigest().encode())
    checkpoint, route = bed.path(), "stages:\n  - validate: sidecar\n"
    line = ["--checkpoint", checkpoint, "--memory=16MiB", "--part-size=5MiB", f"s3://in-files/{key}", "s3://out-files/sidecar/changing"]
    with bed.faults({"op": "CompleteMultipartUpload", "kind": "error", "code": "AccessDenied"}):
        bed.refused("destination.access", *line, route=route)
    bed.put(key + ".sha256", b"0" * 64)
    bed.refused("checkpoint.refused", *line, route=route, says=["a sidecar that says " + "0" * 64], receipt=False)
    bed.put(key + ".sha256", hashlib.sha256(DATA).hexdigest().encode())
    bed.worker(*line, route=route)
    assert bed.get("sidecar/changing") == DATA
