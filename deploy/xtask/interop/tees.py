"""One source to several destinations: each has the whole file from one download, and one that fails is not the others' loss."""

import gzip

from bed import noise, same

import eft

DATA = noise(11 * eft.MIB)
UNPACK = "stages:\n  - decompress: { codec: gzip }\n"
SMALL = ["--part-size=5MiB", "--memory=32MiB"]


def outcomes(result):
    return [delivery["outcome"] for delivery in result.receipt["deliveries"]]


def test_two_buckets_a_file_and_standard_output(bed):
    packed = gzip.compress(DATA, 1)
    bed.put("tee/a.gz", packed)
    path = bed.path()
    bed.server.ask("/_reset", "POST")
    places = ["s3://out-files/tee/a", "s3://in-files/tee/copy of a", path, "-"]
    result = bed.worker(*SMALL, "s3://in-files/tee/a.gz", *places, route=UNPACK)
    for what, got in [
        ("the bucket", bed.get("tee/a")),
        ("the other bucket", bed.get("tee/copy of a", "in-files")),
        ("the file", path.read_bytes()),
        ("standard output", result.out),
    ]:
        same(what, got, DATA)
    assert outcomes(result) == ["DELIVERED"] * 4, result.receipt["deliveries"]
    assert len({delivery["delivery_id"] for delivery in result.receipt["deliveries"]}) == 4
    assert result.receipt["totals"]["bytes_read"] == len(packed), result.receipt["totals"]


def test_one_of_two_is_closed(bed):
    """The other has the file; a run with the same checkpoint delivers the rest, and nothing twice."""
    bed.put("tee/half", gzip.compress(DATA, 1))
    checkpoint = bed.path()
    line = [*SMALL, "--checkpoint", checkpoint, "s3://in-files/tee/half", "s3://out-files/tee/half", "s3://in-files/tee/closed"]
    denied = {"op": "CompleteMultipartUpload", "bucket": "in-files", "kind": "error", "code": "AccessDenied"}
    with bed.faults(denied):
        result = bed.worker(*line, route=UNPACK, code=eft.FAILED)
    assert result.said.startswith("eft-worker: destination.access: ") and "s3://in-files/tee/closed" in result.said, result
    assert outcomes(result)[0] == "DELIVERED" != outcomes(result)[1], result.receipt["deliveries"]
    same("the open one", bed.get("tee/half"), DATA)
    assert not bed.exists("tee/closed", "in-files")
    result = bed.worker(*line, route=UNPACK)
    assert outcomes(result) == ["DELIVERED"] * 2, result.receipt["deliveries"]
    assert [delivery["already_delivered"] for delivery in result.receipt["deliveries"]] == [True, False]
    same("the closed one", bed.get("tee/closed", "in-files"), DATA)
    versions = bed.s3.list_object_versions(Bucket="out-files", Prefix="tee/half").get("Versions", [])
    assert len(versions) == 1, versions


def test_a_broken_file_is_at_none_of_them(bed):
    packed = gzip.compress(DATA, 1)
    bed.put("tee/broken", packed[:-3])
    places = ["s3://out-files/tee/broken", bed.path()]
    result = bed.worker(*SMALL, "s3://in-files/tee/broken", *places, route=UNPACK, code=eft.REJECTED)
    assert "DELIVERED" not in outcomes(result), result.receipt["deliveries"]
    assert not any(bed.stands(place) for place in places)


def test_the_same_place_twice(bed):
    source = bed.file(DATA)
    target = bed.path()
    result = bed.worker(source, target, target, code=eft.USAGE)
    assert result.said.startswith("eft-worker: plan.refused: ") and "twice" in result.said, result
    assert not bed.stands(target)
