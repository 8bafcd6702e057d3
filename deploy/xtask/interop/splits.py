"""Several objects of one: what `split` of coreutils and Python's csv make of the same files, and all of them or none."""

import csv
import gzip
import io
import json
import subprocess

from bed import table
import eft
import pgp

LINES = "stages:\n  - split: { after_records: %d }\n"
CSV = "stages:\n  - split: { after_records: %d, records: csv, header: true }\n"
ROWS = 120_000


def quoted(rows):
    """Records with line feeds in quotes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "note"])
    writer.writerows([[row, f'two\nlines "{row}"' if row % 3 else "one"] for row in range(rows)])
    return text.getvalue().encode()


def pieces(data, rows):
    """What Python's csv reads of it, so many rows a piece, each with the header."""
    header, *records = csv.reader(io.StringIO(data.decode(), newline=""))
    return [[header, *records[at : at + rows]] for at in range(0, len(records), rows)]


def read(data):
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def agree(bed, result, bucket="out-files"):
    """Each object has a delivery of its own in the receipt, with its size."""
    for delivery in result.receipt["deliveries"]:
        assert delivery["outcome"] == "DELIVERED", delivery
        key = delivery["uri"].removeprefix(f"s3://{bucket}/")
        assert len(bed.get(key, bucket)) == delivery["size"], delivery


def test_files_as_coreutils_splits_them(bed):
    data = table(ROWS)
    source, folder = bed.file(data), bed.path("-split")
    folder.mkdir()
    subprocess.run(["split", "--lines=50000", "-d", source, folder / "x"], check=True)
    expected = [path.read_bytes() for path in sorted(folder.iterdir())]
    out = bed.path("-out")
    out.mkdir()
    bed.worker(source, out / "part-{n}.csv", route=LINES % 50_000)
    found = sorted(out.iterdir())
    assert [path.name for path in found] == ["part-00001.csv", "part-00002.csv", "part-00003.csv"]
    assert [path.read_bytes() for path in found] == expected


def test_objects_with_a_header_compressed_each(bed):
    data = quoted(ROWS)
    bed.put("split/quoted.csv.gz", gzip.compress(data, 1))
    route = f"stages:\n  - decompress: {{ codec: gzip }}\n{(CSV % 25_000).removeprefix('stages:')}  - compress: {{ codec: gzip }}\n".replace("\n\n", "\n")
    result = bed.worker("s3://in-files/split/quoted.csv.gz", "s3://out-files/split/q-{n}.csv.gz", route=route)
    agree(bed, result)
    names = [delivery["uri"] for delivery in result.receipt["deliveries"]]
    assert names == [f"s3://out-files/split/q-{number:05}.csv.gz" for number in range(1, 6)], names
    for piece, name in zip(pieces(data, 25_000), names, strict=True):
        packed = bed.get(name.removeprefix("s3://out-files/"))
        unpacked = subprocess.run(["gzip", "-dc"], input=packed, stdout=subprocess.PIPE, check=True).stdout
        assert read(unpacked) == piece, name
    bed.worker(result.receipt_path, command="verify")


def test_stages_begin_anew_with_every_object(bed):
    """Each object is checked and rewritten by itself, and what is wrong with one ends all."""
    data = quoted(10_000)
    source, out = bed.file(data), bed.path("-out")
    out.mkdir()
    behind = "  - validate: { csv: { header: [id, note], types: { id: integer } } }\n  - csv_to_jsonl: { header: true }\n  - compress: { codec: gzip }\n"
    result = bed.worker(source, out / "{n}.jsonl.gz", route=CSV % 3_000 + behind)
    for piece, path in zip(pieces(data, 3_000), sorted(out.iterdir()), strict=True):
        found = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
        assert found == [dict(zip(piece[0], row)) for row in piece[1:]], path
    stages = {stage["name"]: stage for stage in result.receipt["stages"]}
    assert stages["validate.csv"]["records"] == stages["csv_to_jsonl"]["records"] == 10_000, stages
    broken = bed.file(data.replace(b"\n7000,", b"\nseven,"))
    bed.refused("validation", broken, bed.path("-{n}"), route=CSV % 3_000 + behind, says=["object 3: ", "id"])


def test_all_or_none(bed):
    """Somebody else's object under the third name, found while the file is read: nothing is published."""
    bed.put("split/rows", table(ROWS))
    bed.s3.put_object(Bucket="out-files", Key="split/taken-00003", Body=b"somebody else's")
    line = ["s3://in-files/split/rows", "s3://out-files/split/taken-{n}"]
    bed.refused("destination.exists", *line, route=LINES % 20_000, says=["taken-00003"])
    assert bed.get("split/taken-00003") == b"somebody else's"
    assert not bed.exists("split/taken-00001") and not bed.exists("split/taken-00002")
    assert not uploads(bed)


def uploads(bed):
    return bed.s3.list_multipart_uploads(Bucket="out-files").get("Uploads", [])


def test_a_run_made_again_publishes_the_rest(bed):
    """One object cannot be published: the others are, the receipt says which, and the next run does what is left."""
    data = table(ROWS)
    bed.put("split/again", data)
    line = ["s3://in-files/split/again", "s3://out-files/split/again-{n}"]
    with bed.faults({"op": "CompleteMultipartUpload", "kind": "error", "code": "AccessDenied", "times": 1}):
        failed = bed.worker(*line, route=LINES % 20_000, code=eft.FAILED)
    outcomes = [delivery["outcome"] for delivery in failed.receipt["deliveries"]]
    assert sorted(outcomes) == ["DELIVERED"] * 6 + ["HELD"], outcomes
    assert not uploads(bed), "the upload of the one that failed is left behind"
    result = bed.worker(*line, route=LINES % 20_000)
    agree(bed, result)
    stood = {delivery["uri"]: delivery["version_id"] for delivery in failed.receipt["deliveries"] if delivery["outcome"] == "DELIVERED"}
    stands = {delivery["uri"]: delivery["version_id"] for delivery in result.receipt["deliveries"]}
    again = {delivery["uri"] for delivery in result.receipt["deliveries"] if delivery["already_delivered"]}
    assert again == set(stood), (again, stood)
    assert len(stood) == 6 and all(stood.values()) and stood.items() <= stands.items(), (stood, stands)
    whole = b"".join(bed.get(f"split/again-{number:05}") for number in range(1, 8))
    assert whole == data
    assert not uploads(bed)


def test_encrypted_objects_are_known_by_their_delivery(bed):
    """Encryption makes other bytes each time; what an earlier run has published is its delivery all the same."""
    bed.put("split/secret", table(ROWS))
    route = LINES % 40_000 + "  - pgp_encrypt: { recipients: [ours] }\n"
    line = ["--keys", pgp.keys(bed), "s3://in-files/split/secret", "s3://out-files/split/secret-{n}.pgp"]
    with bed.faults({"op": "CompleteMultipartUpload", "kind": "error", "code": "AccessDenied", "times": 1}):
        failed = bed.worker(*line, route=route, code=eft.FAILED)
    stood = {delivery["uri"] for delivery in failed.receipt["deliveries"] if delivery["outcome"] == "DELIVERED"}
    result = bed.worker(*line, route=route)
    agree(bed, result)
    again = {delivery["uri"] for delivery in result.receipt["deliveries"] if delivery["already_delivered"]}
    assert again == stood and len(stood) == 3, (again, stood)
    bed.worker(result.receipt_path, command="verify")
    assert not uploads(bed)


def test_a_file_has_no_version_to_be_known_by(bed):
    """Another run may be of other bytes under the same name: what stands there is nobody's to claim."""
    line = [bed.file(table(1_000)), "s3://out-files/split/file-{n}"]
    bed.worker(*line, route=LINES % 400)
    bed.refused("destination.exists", *line, route=LINES % 400, says=["file-00001"])


def test_what_a_plan_refuses(bed):
    source = bed.file(table(10))
    bed.refused("plan.refused", source, bed.path(), route=LINES % 5, says=["put {n}"], receipt=False)
    target = bed.path("-{n}")
    line = ["--checkpoint", bed.path(), source, target]
    bed.refused("plan.refused", *line, route=LINES % 5, says=["leave out --checkpoint"], receipt=False)
    bed.refused("limit.max_outputs", source, target, route="stages:\n  - split: { after_records: 2, max_outputs: 3 }\n",
                says=["observed 4 objects and more"])
    for behind in ["- compress: { codec: zip }", "- split: { after_records: 1 }"]:
        bed.refused("route.invalid", source, target, route=(LINES % 5) + f"  {behind}\n", says=["/stages/1"], receipt=False)
