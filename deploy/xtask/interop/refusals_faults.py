"""Bad networks, bad endpoints and people with Ctrl-C: delivered once and whole, or not at all and said so."""

import gzip
import signal

from bed import Bed, noise, same, table, until
from refusals_places import SLOW_PARTS, STREAM, uploading

import eft

MIB = eft.MIB
SIZES = {"small": 1000, "large": 12 * MIB}


def versions(bed, key):
    listed = bed.s3.list_object_versions(Bucket="out-files", Prefix=key)
    return [version["VersionId"] for version in listed.get("Versions", []) if version["Key"] == key]


def delivered_once(bed, key, result, data):
    """Under the name stands one version, of these bytes, and the receipt names it."""
    same(key, bed.get(key), data)
    receipt, (delivery,) = result.receipt, result.receipt["deliveries"]
    assert (receipt["outcome"], delivery["outcome"]) == ("SUCCEEDED", "DELIVERED"), receipt
    assert delivery["size"] == len(data), delivery
    assert versions(bed, key) == [delivery["version_id"]], (versions(bed, key), delivery)
    return receipt


def through(bed, name, *faults, sizes=SIZES, flags=STREAM, put=Bed.put):
    """Delivered in spite of the faults, small and large. Gives the receipts, and what fired."""
    receipts = []
    for kind, size in sizes.items():
        key = f"faults/{name}/{kind}"
        put(bed, key, noise(size))
        with bed.faults(*faults):
            result = bed.transfer(key, flags=flags)
            fired = [record for record in bed.server.ask("/_log") if record["faults"]]
        assert fired, f"{name}, {kind}: no fault fired"
        receipts.append(delivered_once(bed, key, result, noise(size)))
    return receipts


def stopped(bed, number, key):
    """A signal in the middle: exit code 130, and nothing is left that very moment."""

    def stop(process):
        uploading(bed, key)(process)
        process.send_signal(number)

    with bed.faults(SLOW_PARTS):
        bed.refused("interrupted", *STREAM, "s3://synthetic/stopped-200MiB", f"s3://out-files/{key}", during=stop)
        left = bed.server.ask("/_uploads")
    assert not left, f"uploads left open: {left}"


def test_interrupted_in_an_upload(bed):
    stopped(bed, signal.SIGINT, "stopped/interrupt")


def test_terminated_in_an_upload(bed):
    stopped(bed, signal.SIGTERM, "stopped/terminate")


def test_interrupted_while_an_upload_begins(bed):
    """The answer with the upload's id is still on its way: it must be waited for, and the upload removed."""
    with bed.faults({"op": "CreateMultipartUpload", "kind": "hold"}):
        stop = bed.held(lambda process: process.send_signal(signal.SIGINT))
        line = [*STREAM, "s3://synthetic/stopped-200MiB", "s3://out-files/stopped/begin"]
        bed.refused("interrupted", *line, during=stop)
        left = bed.server.ask("/_uploads")
    assert not left, f"uploads left open: {left}"
    counts = bed.server.ask("/_stats")["counts"]
    assert counts["CreateMultipartUpload"] == 1 <= counts["AbortMultipartUpload"], counts


def test_interrupted_while_it_publishes(bed):
    """Too late: what is being published is carried through and reported."""
    key = "stopped/publish"
    bed.put(key, noise(12 * MIB))
    with bed.faults({"op": "CompleteMultipartUpload", "kind": "hold"}):
        stop = bed.held(lambda process: process.send_signal(signal.SIGTERM))
        result = bed.transfer(key, flags=STREAM, during=stop)
    delivered_once(bed, key, result, noise(12 * MIB))


def test_terminated_while_it_waits_for_standard_input(bed):
    key = "stopped/stdin"

    def stop(process):
        process.stdin.write(noise(12 * MIB))
        process.stdin.flush()
        until("something is uploaded", lambda: bed.server.ask("/_uploads"))
        process.send_signal(signal.SIGTERM)
        # Its input stays open: it must not wait for the end of it.
        process.wait(timeout=20)

    bed.refused("interrupted", "--part-size", "5MiB", "-", f"s3://out-files/{key}", during=stop)


def test_interrupted_while_it_writes_a_file(bed):
    target = bed.path()

    def stop(process):
        until("the file is being written", lambda: list(target.parent.glob(f".{target.name}.*")))
        process.send_signal(signal.SIGINT)

    with bed.faults({"op": "GetObject", "bucket": "synthetic", "kind": "bandwidth", "bytes_per_second": 20 * MIB}):
        bed.refused("interrupted", *STREAM, "s3://synthetic/stopped-200MiB", target, during=stop)


def test_every_third_request_throttled(bed):
    for receipt in through(bed, "throttled", {"kind": "error", "code": "SlowDown", "every": 3}):
        assert receipt["totals"]["throttles"] > 0, receipt["totals"]
    with bed.beside("--slow-down-every", "3") as other:
        result = other.worker("--no-server-copy", "--part-size", "5MiB", "s3://synthetic/slow-60MiB", "s3://discard/slow")
        assert result.receipt["totals"]["throttles"] > 0, result.receipt["totals"]


def test_store_that_keeps_failing(bed):
    bed.put("faults/failing", noise(1000))
    with bed.faults({"op": "PutObject", "key_prefix": "faults/", "kind": "error", "code": "InternalError"}):
        line = ["--no-server-copy", "s3://in-files/faults/failing", "s3://out-files/faults/failing"]
        bed.refused("destination.unavailable", *line, says=["s3://out-files/faults/failing", "InternalError"])


def test_cut_bodies(bed):
    cut = {"op": "GetObject", "bucket": "in-files", "kind": "cut_body"}
    sizes = {"large": 12 * MIB}
    for name, fault in [
        ("every-second", {**cut, "after": 512 << 10, "every": 2}),
        ("at-once", {**cut, "after": 0, "times": 2}),
        ("every-time", {**cut, "after": 3 * MIB}),
    ]:
        (receipt,) = through(bed, f"cut/{name}", fault, sizes=sizes)
        totals = receipt["totals"]
        assert totals["retries"] > 0, (name, totals)
        # Read on from the last good byte: what was read stays read.
        assert totals["bytes_read"] <= 12 * MIB + MIB, (name, totals)
    through(bed, "cut/small", {**cut, "after": 500, "times": 1}, sizes={"small": 1000})
    line = ["--no-server-copy", "s3://in-files/faults/cut/small/small", "s3://out-files/faults/cut/for-ever"]
    with bed.faults({**cut, "after": 0}):
        bed.refused("source.unavailable", *line, says=["s3://in-files/faults/cut/small/small"])


def put_with_crc64(bed, key, data):
    """As the worker writes it. What boto3 writes has a CRC-32, or one that needs a library of its own."""
    bed.worker(bed.file(data), f"s3://in-files/{key}")


FLIP = {"op": "GetObject", "bucket": "in-files", "kind": "flip_bit", "at": 700}


def test_flipped_bit(bed):
    for receipt in through(bed, "flip/once", {**FLIP, "times": 1}, put=put_with_crc64):
        assert receipt["source"]["crc64nvme_matches_source"] is True, receipt["source"]
        assert receipt["totals"]["bytes_reread"] > 0, receipt["totals"]


def test_flipped_bit_that_stays(bed):
    for kind, size in SIZES.items():
        source, target = f"s3://in-files/faults/flip/{kind}", f"s3://out-files/faults/flip/{kind}"
        put_with_crc64(bed, f"faults/flip/{kind}", noise(size))
        with bed.faults(FLIP):
            bed.refused("integrity.source", *STREAM, source, target, says=[source, "CRC-64/NVME"])


def test_flipped_bit_of_an_object_with_a_crc32(bed):
    """The full-object checksum that most clients store."""
    source, target = "s3://in-files/faults/flip/crc32", "s3://out-files/faults/flip/crc32"
    bed.put("faults/flip/crc32", noise(1000), ChecksumAlgorithm="CRC32")
    with bed.faults(FLIP):
        bed.refused("integrity.source", *STREAM, source, target, says=[source])


def test_flipped_bit_under_a_stage(bed):
    """A stage meets the damage first. The sender's file is good: it must not be rejected."""
    check = "validate: { csv: { header: [id, name, day], types: { id: integer, day: date } } }"
    for name, stage, plain, data in [
        ("gunzip", "decompress: { codec: gzip }", noise(12 * MIB), gzip.compress(noise(12 * MIB), 1, mtime=0)),
        ("csv", check, table(500_000), table(500_000)),
    ]:
        key, route = f"faults/flip/{name}", f"stages:\n  - {stage}\n"
        source, target = f"s3://in-files/{key}", f"s3://out-files/{key}"
        # With another separator the record is broken.
        flip = {**FLIP, "at": data.index(b",", 700) if name == "csv" else 700}
        put_with_crc64(bed, key, data)
        with bed.faults(flip):
            bed.refused("integrity.source", *STREAM, source, target, route=route, says=[source])
        with bed.faults({**flip, "times": 1}):
            bed.transfer(key, route=route, flags=STREAM)
        same(key, bed.get(key), plain)


def test_damaged_on_its_way_out(bed):
    """The store compares what it got with what was sent, and is sent it again."""
    for op in ["PutObject", "UploadPart"]:
        sizes = {"small": 1000} if op == "PutObject" else {"large": 12 * MIB}
        fault = {"op": op, "bucket": "out-files", "kind": "corrupt_upload", "times": 1}
        (receipt,) = through(bed, f"corrupt/{op}", fault, sizes=sizes)
        assert receipt["deliveries"][0]["endpoint"]["crc64nvme"] == "verified", receipt["deliveries"]


def test_done_but_answered_with_an_error(bed):
    for kind in ["done_then_error", "done_then_close"]:
        for op, sizes in [("PutObject", {"small": 1000}), ("CompleteMultipartUpload", {"large": 12 * MIB})]:
            fault = {"op": op, "bucket": "out-files", "kind": kind, "times": 1}
            if kind == "done_then_error":
                fault["code"] = "InternalError"
            through(bed, f"{kind}/{op}", fault, sizes=sizes)


def test_success_that_is_an_error(bed):
    fault = {"op": "CompleteMultipartUpload", "bucket": "out-files", "kind": "error_in_200", "code": "InternalError"}
    large = {"large": 12 * MIB}
    through(bed, "two-hundred/done", {**fault, "done": True, "times": 1}, sizes=large)
    through(bed, "two-hundred/not-done", {**fault, "done": False, "times": 1}, sizes=large)
    source, target = "s3://in-files/faults/two-hundred/done/large", "s3://out-files/faults/two-hundred/never"
    with bed.faults({**fault, "done": False}):
        bed.refused("destination.unavailable", *STREAM, source, target, says=[target, "InternalError"])


def endpoints(bed, name):
    """Small and large through an endpoint that lacks something; gives what the receipts say of it."""
    said = []
    with bed.beside("--profile", name) as other:
        for kind, size in SIZES.items():
            other.put(kind, noise(size))
            (delivery,) = other.transfer(kind, flags=STREAM).receipt["deliveries"]
            same(f"{name}, {kind}", other.get(kind), noise(size))
            assert delivery["outcome"] == "DELIVERED" and delivery["size"] == size, delivery
            said.append(delivery["endpoint"])
            # A taken name is seen beforehand, whatever the endpoint enforces.
            other.put("other", noise(size + 1))
            line = [*STREAM, "s3://in-files/other", f"s3://out-files/{kind}"]
            other.refused("destination.exists", *line, says=[f"s3://out-files/{kind}"], visible=True)
            same(f"{name}, {kind}", other.get(kind), noise(size))
    return said


# Whether an endpoint that is not Amazon's looked at a condition cannot be told without doing harm.
FULL = {"crc64nvme": "verified", "conditional_write": "unproven", "versions": True}


def test_endpoint_with_everything(bed):
    assert endpoints(bed, "full") == [FULL, FULL]


def test_endpoint_without_crc64(bed):
    lacks = {**FULL, "crc64nvme": "unsupported"}
    said = endpoints(bed, "no-crc64")
    assert said == [lacks, lacks], said


def test_endpoint_that_refuses_crc64(bed):
    lacks = {**FULL, "crc64nvme": "unsupported"}
    said = endpoints(bed, "no-crc64-strict")
    assert said == [lacks, lacks], said


def test_endpoint_that_refuses_conditions(bed):
    lacks = {**FULL, "conditional_write": "unsupported"}
    said = endpoints(bed, "no-conditional")
    assert said == [lacks, lacks], said


def test_endpoint_that_ignores_conditions(bed):
    """It takes them like one that enforces them: more than that is not claimed."""
    said = endpoints(bed, "ignore-conditional")
    assert said == [FULL, FULL], said


def test_endpoint_without_versions(bed):
    lacks = {**FULL, "versions": False}
    said = endpoints(bed, "no-versions")
    assert said == [lacks, lacks], said


def test_no_endpoint(bed):
    """Nobody listens."""
    env = {**bed.server.env, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    line = ["s3://in-files/x", "s3://out-files/faults/nobody"]
    bed.refused("source.unavailable", *line, says=["s3://in-files/x"], receipt=False, env=env)
