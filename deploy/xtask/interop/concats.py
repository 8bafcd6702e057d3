"""Objects joined by a manifest: as `cat` joins files, by S3 itself where it can, and never what is not the sender's."""

import gzip
import json
import os
import subprocess

from bed import noise, table
import eft

CONCAT = "stages:\n  - concat\n"
REDSHIFT = "stages:\n  - concat: { manifest: redshift }\n"
MIB = 1 << 20


def fill(bed, folder, pieces):
    """Puts pieces and a manifest of them."""
    for name, data in pieces.items():
        bed.put(f"{folder}/{name}", data)
    bed.put(f"{folder}/manifest.txt", "\r\n".join([*pieces, ""]).encode())
    return f"s3://in-files/{folder}/manifest.txt"


def test_s3_joins_what_its_parts_allow(bed):
    pieces = {"a": noise(5 * MIB), "b": b"", "sub/c d+é": noise(11 * MIB), "e": b"a small end"}
    manifest = fill(bed, "concat/large", pieces)
    bed.server.ask("/_reset", "POST")
    result = bed.worker(manifest, "s3://out-files/concat/large", route=CONCAT)
    counts = result.receipt["totals"]["requests"]
    assert counts.get("UploadPartCopy") == 3 and not {"UploadPart", "PutObject"} & counts.keys(), counts
    assert counts["GetObject"] == 1, "only the manifest is read"
    whole = b"".join(pieces.values())
    assert bed.get("concat/large") == whole
    source, (delivery,) = result.receipt["source"], result.receipt["deliveries"]
    assert (delivery["method"], delivery["size"], source["size"]) == ("server_copy", len(whole), len(whole))
    assert source["crc64nvme"] == delivery["crc64nvme"]
    named = [(entry["uri"], entry["size"]) for entry in source["objects"]]
    assert named == [(f"s3://in-files/concat/large/{name}", len(data)) for name, data in pieces.items()], named
    assert all(entry["version_id"] and entry["etag"] for entry in source["objects"])
    bed.worker(result.receipt_path, command="verify")
    again = bed.worker(manifest, "s3://out-files/concat/large", route=CONCAT)
    assert again.receipt["deliveries"][0]["already_delivered"], again.receipt
    plan = bed.worker(manifest, "s3://out-files/concat/plan", route=CONCAT, command="plan")
    assert "copied by S3 (UploadPartCopy, parts 3" in plan.out.decode(), plan.out


def test_small_objects_and_files_are_streamed(bed):
    pieces = {f"{number:04}": noise(number * 7) for number in range(300)}
    manifest = fill(bed, "concat/small", pieces)
    whole = b"".join(pieces.values())
    result = bed.worker(manifest, "s3://out-files/concat/small", route=CONCAT)
    assert bed.get("concat/small") == whole and result.receipt["deliveries"][0]["method"] != "server_copy"
    assert result.receipt["source"]["compared"] == "CRC-32", "what boto3 had sent of each object was held against the bytes"
    folder = bed.path()
    folder.mkdir()
    for name, data in pieces.items():
        (folder / name).write_bytes(data)
    (folder / "manifest").write_text("\n".join([*pieces, ""]))
    expected = subprocess.run(["cat", *pieces], cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    # S3's objects that a file names, to a file: ranges are those of S3.
    here = bed.file("".join(f"s3://in-files/concat/small/{name}\n" for name in pieces).encode())
    within = 'stages: [{ concat: { within: "s3://in-files/concat/small/" } }]\n'
    plan = bed.worker(here, bed.path(), route=within, command="plan").out.decode()
    assert "parts" in plan and "first 1MiB" not in plan, plan
    # More files than a process may hold open.
    target = bed.path()
    few = ["bash", "-c", 'ulimit -n 64; exec "$@"', "-", str(eft.WORKER), "transfer", "--quiet", "--route"]
    subprocess.run([*few, bed.file(CONCAT.encode(), ".yaml"), folder / "manifest", target], check=True, env=bed.server.env)
    assert target.read_bytes() == expected == whole


def test_what_is_joined_goes_through_stages(bed):
    data = table(200_000)
    rows = data.splitlines(keepends=True)
    pieces = {f"{n}.csv.gz": gzip.compress(b"".join(rows[n * 50_000 : (n + 1) * 50_000 + (n == 4)]), 1) for n in range(5)}
    for name, packed in pieces.items():
        bed.put(f"concat/stages/{name}", packed)
    entries = [
        {"url": f"s3://in-files/concat/stages/{name}", "mandatory": True, "meta": {"content_length": len(packed)}}
        for name, packed in pieces.items()
    ]
    bed.put("concat/stages/manifest", json.dumps({"entries": entries}).encode())
    route = REDSHIFT + "  - decompress: { codec: gzip }\n  - validate: { csv: { header: true } }\n  - compress: { codec: zstd }\ndigests: [sha256]\n"
    result = bed.worker("s3://in-files/concat/stages/manifest", "s3://out-files/concat/stages.zst", route=route)
    packed = bed.get("concat/stages.zst")
    assert subprocess.run(["zstd", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout == data
    assert [stage["name"] for stage in result.receipt["stages"]][:1] == ["concat"], result.receipt["stages"]
    entries[3]["meta"]["content_length"] += 1
    bed.put("concat/stages/wrong", json.dumps({"entries": entries}).encode())
    bed.refused("manifest.invalid", "s3://in-files/concat/stages/wrong", "s3://out-files/concat/wrong", route=route,
                says=["3.csv.gz has", f"the manifest says {len(pieces['3.csv.gz']) + 1}"])


def test_other_versions_are_another_delivery(bed):
    pieces = {"a": b"one", "b": b"two"}
    manifest = fill(bed, "concat/again", pieces)
    line = [manifest, "s3://out-files/concat/again"]
    bed.worker(*line, route=CONCAT)
    bed.put("concat/again/b", b"other")
    bed.refused("destination.exists", *line, route=CONCAT, visible=True)
    assert bed.get("concat/again") == b"onetwo"


def test_an_object_replaced_meanwhile(bed):
    """A version is pinned; without versions it is noticed, while S3 copies and while bytes are streamed."""
    with bed.beside("--profile", "no-versions") as plain:
        manifest = fill(plain, "m", {"a": noise(5 * MIB), "b": noise(6 * MIB)})
        for flags in [[], ["--no-server-copy"]]:
            with plain.faults({"op": "HeadObject", "key_prefix": "m/a", "kind": "replace_object", "times": 1}):
                plain.refused("source.changed", *flags, manifest, "s3://out-files/replaced", route=CONCAT)


def test_what_a_manifest_must_not_name(bed):
    bed.put("concat/theirs", b"not the sender's")
    bed.put("concat/mine/a", b"a")
    target = "s3://out-files/concat/refused"

    def refused(code, text, route=CONCAT, **options):
        bed.put("concat/mine/m", text.encode())
        bed.refused(code, "s3://in-files/concat/mine/m", target, route=route, **options)

    refused("manifest.invalid", "a\ns3://in-files/concat/theirs\n", says=["line 2", "is not in s3://in-files/concat/mine/"])
    refused("manifest.invalid", "a\n/etc/hostname\n", says=["line 2", "is not in"])
    refused("manifest.invalid", "a\na\n", says=["line 2", "is named twice"])
    refused("manifest.invalid", "\n", says=["names no object"])
    refused("manifest.missing", "a\nnever\n", says=["s3://in-files/concat/mine/never is not there"])
    refused("source.empty", "", route="on_empty: reject\n" + CONCAT)
    refused("limit.max_objects", "a\nb\nc\n", route="stages:\n  - concat: { max_objects: 2 }\n", says=["3 objects", "allows 2"])
    bed.put("concat/mine/b", b"bb")
    refused("limit.max_input_bytes", "a\nb\n", route="limits: { max_input_bytes: 2 }\nstages:\n  - concat\n", says=["3 bytes"])
    for flags in [[], ["--no-server-copy"]]:
        bed.put("concat/mine/m", b"a\nb\n")
        few = "limits: { max_output_bytes: 2 }\nstages:\n  - concat\n"
        bed.refused("limit.max_output_bytes", *flags, "s3://in-files/concat/mine/m", target, route=few, says=["allows 2"])
    allowed = 'stages:\n  - concat: { within: "s3://in-files/concat/" }\n'
    bed.put("concat/mine/m", b"s3://in-files/concat/theirs\na\n")
    bed.worker("s3://in-files/concat/mine/m", "s3://out-files/concat/within", route=allowed)
    assert bed.get("concat/within") == b"not the sender'sa"

    folder, secret = bed.path(), bed.file(b"secret")
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    os.symlink(secret, folder / "link")
    for name, says in [("link", "leads out of its folder"), (f"../{secret.name}", "leads out of its folder"), (secret, "is not in")]:
        (folder / "m").write_text(f"a\n{name}\n")
        bed.refused("manifest.invalid", folder / "m", bed.path(), route=CONCAT, says=[says])


def test_a_joined_run_goes_on(bed):
    """Killed in the middle, it goes on; after an object was replaced it is refused."""
    pieces = {f"{number}": noise(9 * MIB + number) for number in range(6)}
    manifest = fill(bed, "concat/resumed", pieces)
    checkpoint, target = bed.path(), "s3://out-files/concat/resumed"
    flags = ["--no-server-copy", "--memory", "32MiB", "--part-size", "5MiB", "--checkpoint", checkpoint, "--checkpoint-interval", "64MiB"]
    line = [*flags, manifest, target]
    with bed.faults({"op": "UploadPart", "kind": "error", "code": "AccessDenied", "skip": 4}):
        bed.worker(*line, route=CONCAT, code=eft.FAILED)
    kept = pieces["5"]
    bed.put("concat/resumed/5", b"other")
    bed.refused("checkpoint.refused", *line, route=CONCAT, receipt=False)
    bed.s3.delete_object(Bucket="in-files", Key="concat/resumed/5", VersionId=bed.s3.head_object(Bucket="in-files", Key="concat/resumed/5")["VersionId"])
    assert bed.get("concat/resumed/5", "in-files") == kept
    bed.worker(*line, route=CONCAT)
    assert bed.get("concat/resumed") == b"".join(pieces.values())
