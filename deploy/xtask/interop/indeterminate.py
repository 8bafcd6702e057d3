"""A commit whose answer is lost: what it did is found out by looking, and the store's own log proves each step.

It took effect or it did not, and meanwhile nothing happened or somebody else was there: four cases, and a fifth where
looking fails as well.
"""

from bed import noise, same
from refusals_faults import delivered_once
from refusals_places import STREAM

import eft

DATA = noise(12 * eft.MIB)
COMPLETE = {"op": "CompleteMultipartUpload", "bucket": "out-files"}
LOST = {**COMPLETE, "kind": "done_then_close", "times": 1}
CLOSED = {**COMPLETE, "kind": "close", "times": 1}
# Time for somebody else between the commit and the look at what it did.
HELD_LOOK = {"op": "HeadObject", "bucket": "out-files", "kind": "hold", "skip": 1, "times": 1}


def commits(bed, key):
    """What the store was asked at the destination from the first commit on, as (operation, status)."""
    log = [(record["op"], record["status"]) for record in bed.server.ask("/_log") if record["key"] == key]
    first = next(number for number, (op, _) in enumerate(log) if op == "CompleteMultipartUpload")
    return log[first:]


def test_done_and_ours(bed):
    """It took effect: looked at once, and not done again."""
    key = "indeterminate/ours"
    bed.put(key, DATA)
    with bed.faults(LOST):
        result = bed.transfer(key, flags=STREAM)
        log = commits(bed, key)
    delivered_once(bed, key, result, DATA)
    assert log == [("CompleteMultipartUpload", 0), ("HeadObject", 200)], log


def test_not_done(bed):
    """It did not take effect, and the upload is there: done again, once, with the same upload."""
    key = "indeterminate/again"
    bed.put(key, DATA)
    with bed.faults(CLOSED):
        result = bed.transfer(key, flags=STREAM)
        log = commits(bed, key)
        uploads = {ask["upload_id"] for ask in bed.server.ask("/_log") if ask["op"] == "CompleteMultipartUpload"}
    delivered_once(bed, key, result, DATA)
    assert log == [("CompleteMultipartUpload", 0), ("HeadObject", 404), ("CompleteMultipartUpload", 200)], log
    assert len(uploads) == 1, uploads


def test_done_and_replaced(bed):
    """It took effect, and somebody wrote over it: theirs stays, and the run does not claim it."""
    key, theirs = "indeterminate/replaced", noise(1000)
    bed.put(key, DATA)
    with bed.faults(LOST, HELD_LOOK):
        put = bed.held(lambda _: bed.s3.put_object(Bucket="out-files", Key=key, Body=theirs))
        bed.refused("destination.exists", *STREAM, f"s3://in-files/{key}", f"s3://out-files/{key}", during=put, visible=True)
        log = commits(bed, key)
    same(key, bed.get(key), theirs)
    # Theirs came while the worker waited; its own second commit could not take, and it looked again before it said so.
    ours = [(op, status) for op, status in log if op != "PutObject"]
    assert ours[:2] == [("CompleteMultipartUpload", 0), ("HeadObject", 200)], log
    assert all(status in (404, 412) for op, status in ours[1:] if op == "CompleteMultipartUpload"), log


def test_not_done_and_gone(bed):
    """It did not take effect, and the upload was removed meanwhile: nothing stands there, and that is what is said."""
    key = "indeterminate/gone"
    bed.put(key, DATA)

    def remove(_):
        (upload,) = bed.server.ask("/_uploads")
        bed.s3.abort_multipart_upload(Bucket=upload["bucket"], Key=upload["key"], UploadId=upload["upload_id"])

    with bed.faults(CLOSED, HELD_LOOK):
        line = [*STREAM, f"s3://in-files/{key}", f"s3://out-files/{key}"]
        bed.refused("destination.unavailable", *line, says=["NoSuchUpload", "somebody has removed it"], during=bed.held(remove))
        log = [ask for ask in commits(bed, key) if ask[0] in ("CompleteMultipartUpload", "HeadObject")]
    assert log == [("CompleteMultipartUpload", 0), ("HeadObject", 404), ("CompleteMultipartUpload", 404), ("HeadObject", 404)], log


def test_nobody_can_look(bed):
    """Neither the commit nor the look is answered: nothing is claimed, and the code says what to do."""
    key = "indeterminate/blind"
    bed.put(key, DATA)
    with bed.faults(LOST, {"op": "HeadObject", "bucket": "out-files", "kind": "error", "code": "AccessDenied", "skip": 1}):
        line = [*STREAM, f"s3://in-files/{key}", f"s3://out-files/{key}"]
        bed.refused("destination.indeterminate", *line, says=["looking what stands there failed too", "403"], visible=True)
        log = [status for op, status in commits(bed, key) if op == "HeadObject"]
    same(key, bed.get(key), DATA)
    assert log and set(log) == {403}, log


def test_another_run_was_first(bed):
    """Two runs of one delivery, as a queue gives that delivers twice: one object, one says that it was there, no upload is left."""
    key = "indeterminate/twice"
    bed.put(key, DATA)

    with bed.faults({"op": "GetObject", "bucket": "in-files", "kind": "hold", "times": 1}):
        slow = bed.transfer(key, flags=STREAM, during=bed.held(lambda _: bed.transfer(key, flags=STREAM)))
        log = commits(bed, key)
    assert [status for op, status in log if op == "CompleteMultipartUpload"] == [200, 412], log
    (delivery,) = slow.receipt["deliveries"]
    assert delivery["outcome"] == "DELIVERED" and delivery["already_delivered"], delivery
    same(key, bed.get(key), DATA)
    versions = bed.s3.list_object_versions(Bucket="out-files", Prefix=key)["Versions"]
    assert len(versions) == 1, versions
    assert not bed.server.ask("/_uploads"), "the upload of the slow run is left behind"
