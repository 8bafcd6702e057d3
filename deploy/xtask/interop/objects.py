"""Objects pass unchanged, whoever wrote them and whoever reads them."""

import base64
import hashlib
import json

from bed import KEYS, TOOLS, noise, same

import eft

MIB = eft.MIB
SIZES = [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 40 * MIB]
SMALL_PARTS = ["--no-server-copy", "--part-size", "5MiB"]


def written_and_read_by(bed, tool):
    for size in SIZES:
        key = f"sizes/{tool}/{size}"
        bed.put_with(tool, "in-files", key, noise(size))
        bed.transfer(key, flags=SMALL_PARTS)
        same(f"{tool}, {size} bytes", bed.get_with(tool, "out-files", key), noise(size))


def test_sizes_boto3(bed):
    written_and_read_by(bed, "boto3")


def test_sizes_aws(bed):
    written_and_read_by(bed, "aws")


def test_sizes_s5cmd(bed):
    written_and_read_by(bed, "s5cmd")


def test_sizes_rclone(bed):
    written_and_read_by(bed, "rclone")


def test_keys(bed):
    for number, key in enumerate(KEYS):
        key, data = f"keys/{key}", noise(1000 + number)
        bed.put(key, data)
        bed.transfer(key, flags=["--no-server-copy"])
        for tool in TOOLS:
            same(f"{tool}, {key}", bed.get_with(tool, "out-files", key), data)


def test_server_copy(bed):
    for key in [f"copy/{key}" for key in KEYS]:
        bed.put(key, noise(2000))
        receipt = bed.transfer(key).receipt
        same(key, bed.get(key), noise(2000))
        assert receipt["deliveries"][0]["method"] == "server_copy", receipt


def test_older_version(bed):
    old = bed.put("versions/a", b"old")["VersionId"]
    bed.put("versions/a", b"new")
    bed.worker("--no-server-copy", f"s3://in-files/versions/a?versionId={old}", "s3://out-files/versions/old")
    bed.transfer("versions/a", flags=["--no-server-copy"])
    same("older version", bed.get("versions/old"), b"old")
    same("latest version", bed.get("versions/a"), b"new")


def test_metadata(bed):
    bed.put("meta/a", noise(100), Metadata={"owner": "acme", "batch": "7"}, ContentType="text/csv")
    for flags, to in [(["--no-server-copy"], "meta/streamed"), ([], "meta/copied")]:
        receipt = bed.transfer("meta/a", to=to, flags=flags).receipt
        head = bed.s3.head_object(Bucket="out-files", Key=to)
        assert receipt["deliveries"][0]["delivery_id"] in head["Metadata"].values(), (to, head["Metadata"])
        kept = {name: value for name, value in head["Metadata"].items() if name in ("owner", "batch")}
        assert kept == {"owner": "acme", "batch": "7"} and head["ContentType"] == "text/csv", (to, head)


def test_receipt_tells_the_truth(bed):
    bed.put("receipt/a", noise(6 * MIB))
    result = bed.transfer("receipt/a", route="stages: []\ndigests: [sha256]\n", flags=SMALL_PARTS)
    source, (delivery,) = result.receipt["source"], result.receipt["deliveries"]
    head = bed.s3.head_object(Bucket="out-files", Key="receipt/a", ChecksumMode="ENABLED")
    assert delivery["sha256"] == source["sha256"] == hashlib.sha256(noise(6 * MIB)).hexdigest()
    assert delivery["crc64nvme"] == source["crc64nvme"] == head["ChecksumCRC64NVME"]
    assert len(base64.b64decode(delivery["crc64nvme"])) == 8
    assert delivery["size"] == source["size"] == head["ContentLength"] == 6 * MIB
    assert delivery["version_id"] == head["VersionId"] and delivery["parts"] == 2, delivery
    assert result.receipt["outcome"] == "SUCCEEDED"
    bed.worker(result.receipt_path, command="verify")


def test_verify_refuses_what_is_not_so(bed):
    bed.put("verify/a", b"bytes")
    path = bed.transfer("verify/a", flags=["--no-server-copy"]).receipt_path
    text = path.read_text()
    document = json.loads(text)
    document.get("receipt", document)["source"]["size"] = 6
    path.write_text(json.dumps(document))
    assert refused(bed, path), "a changed receipt was accepted"
    path.write_text(text)
    bed.worker(path, command="verify")
    for version in bed.s3.list_object_versions(Bucket="out-files", Prefix="verify/a")["Versions"]:
        bed.s3.delete_object(Bucket="out-files", Key="verify/a", VersionId=version["VersionId"])
    assert refused(bed, path), "a receipt of an object that is gone was accepted"


def refused(bed, path):
    for code in (eft.REJECTED, eft.FAILED):
        try:
            bed.worker(path, command="verify", code=code)
        except AssertionError:
            continue
        return True
    return False


def test_local_and_standard_streams(bed):
    data = noise(11 * MIB)
    bed.worker(bed.file(data), "s3://out-files/local/up")
    same("file to S3", bed.get("local/up"), data)
    target = bed.path()
    bed.worker("s3://out-files/local/up", target)
    same("S3 to file", target.read_bytes(), data)
    bed.worker("-", "s3://out-files/local/piped", stdin=data)
    same("standard input to S3", bed.get("local/piped"), data)
    same("S3 to standard output", bed.worker("s3://out-files/local/piped", "-").out, data)


def test_missing_and_taken_names(bed):
    bed.transfer("nothing/here", code=eft.FAILED)
    bed.worker("s3://in-files/", "s3://out-files/x", code=eft.USAGE)
    bed.put("taken/a", b"mine")
    bed.s3.put_object(Bucket="out-files", Key="taken/a", Body=b"theirs")
    bed.transfer("taken/a", flags=["--no-server-copy"], code=eft.FAILED)
    same("a name that was taken", bed.get("taken/a"), b"theirs")
