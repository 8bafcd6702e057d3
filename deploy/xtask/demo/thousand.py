"""Many small files at once, some of them on a route with an order: all end right, and what each cost in requests to AWS.

Times are those of this machine with an emulator in Python on it; the requests are those that AWS would be asked.
"""

import collections
import concurrent.futures
import itertools
import json
import os
import sys
import time
import urllib.request

import eft
from checks import ENDED, check, until
from stand import stand

FILES = int(os.environ.get("EFT_FILES", "1000"))
# One of so many goes by the route with an order.
ORDERED = 10
SENDERS = 8
# Its schedule calls it every five minutes; it has work only where a tenant has more than it may have at once.
SWEEP_EVERY = 30
# A file takes some tenths of a second of both processors here.
WITHIN = 60 + FILES * 2


def body(number):
    return b"sku,qty\n" + b"".join(b"sku-%d,%d\n" % (number, row) for row in range(100))


def setup(it):
    admin = it.api.as_(it.tokens.token("platform", "admin"))
    ann = it.api.as_(it.tokens.token("acme", "config:write"))
    out = it.outputs["OutBucket"]
    tenant = {"outputs": [{"bucket": out, "prefix": "acme/"}], "max_jobs": 8}
    check("a tenant", admin.ask("PUT", "/v1/tenants/acme", tenant, if_none_match="*").status == 201)
    for name, ordering in (("any", "none"), ("ordered", "strict")):
        route = {
            "match": {"prefix": f"tenants/acme/{name}/"},
            "ordering": ordering,
            "stages": [{"validate": {"csv": {"header": ["sku", "qty"], "types": {"qty": "integer"}}}}],
            "destinations": [{"s3": {"bucket": out, "key": f"acme/{name}/{{name}}", "on_existing": "fail"}}],
        }
        answer = ann.ask("PUT", f"/v1/routes/{name}", route, if_none_match="*")
        check(f"a route: {answer.status}", answer.status == 201)


def send(it):
    s3, bucket = it.client("s3"), it.outputs["IngestBucket"]

    def put(number):
        folder = "ordered" if number % ORDERED == 0 else "any"
        s3.put_object(Bucket=bucket, Key=f"tenants/acme/{folder}/{number:06}.csv", Body=body(number))

    with concurrent.futures.ThreadPoolExecutor(SENDERS) as senders:
        list(senders.map(put, range(FILES)))


def jobs(it):
    pages = it.client("dynamodb").get_paginator("scan").paginate(TableName=it.outputs["JobsTable"], ConsistentRead=True)
    return [json.loads(item["row"]["S"]) for page in pages for item in page["Items"]]


def requests(it):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{it.endpoint}/_eft/requests", timeout=10) as answer:
        return collections.Counter(json.load(answer))


def delivered(it, found):
    """Each file stands there once, with its bytes; those with an order came to stand in that order."""
    check(f"{FILES} files are {FILES} jobs", len(found) == FILES)
    states = collections.Counter(job["state"] for job in found)
    check(f"all of them SUCCEEDED: {dict(states)}", states == {"SUCCEEDED": FILES})
    s3, out = it.client("s3"), it.outputs["OutBucket"]
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=out, Prefix="acme/")
    versions = [version for page in pages for version in page.get("Versions", [])]
    check("each was delivered once", len(versions) == FILES and len({version["Key"] for version in versions}) == FILES)
    wrong = [key for version in versions if s3.get_object(Bucket=out, Key=(key := version["Key"]))["Body"].read() != body(int(key[-10:-4]))]
    check("with its bytes", not wrong)
    turns = sorted((job["turn"]["number"], job["changed_at"]) for job in found if job["route"]["id"] == "ordered")
    in_order = all(one[1] < next_one[1] for one, next_one in itertools.pairwise(turns))
    check(f"{len(turns)} on a route with an order ended in it, one after the other", len(turns) == -(-FILES // ORDERED) and in_order)


def main():
    eft.end_cleanly()
    with stand() as it, it.worker():
        setup(it)
        before, begun = requests(it), time.monotonic()
        send(it)
        sent = time.monotonic() - begun
        print(f"  sent within {sent:.0f} s", flush=True)

        swept = [time.monotonic()]

        def ended():
            if time.monotonic() - swept[0] > SWEEP_EVERY:
                it.sweep()
                swept[0] = time.monotonic()
            # To look takes the emulator's time as well.
            time.sleep(FILES / 200)
            done = sum(job["state"] in ENDED for job in jobs(it))
            print(f"  {time.monotonic() - begun:.0f} s: {done} of {FILES} have ended", flush=True)
            return done == FILES

        until("all files have ended", ended, WITHIN)
        took = time.monotonic() - begun
        asked = requests(it) - before
        delivered(it, jobs(it))
        print(f"\n{FILES} files in {took:.0f} s: {FILES / took:.1f} a second\n\n| request | for a file |\n|---|---|")
        for kind, count in sorted(asked.items(), key=lambda item: -item[1]):
            # Only this script scans.
            if count >= FILES / 100 and kind != "DynamoDB Scan":
                print(f"| {kind} | {count / FILES:.2f} |")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
