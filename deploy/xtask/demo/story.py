"""A partner is onboarded and uploads five files, by SFTP and with the AWS CLI; each is followed until it has ended.

Everything is done as people do it, with `eft`, a stock `sftp` and `aws`, on the platform of this machine (`stand.py`); then
every outcome is held against what it should be.
"""

import gzip
import json
import subprocess
import sys
import time

import zstandard

import eft
import flights
from checks import check, until
from sftp import Key, sftp
from stand import FOLDER, stand

OWN = eft.OWN / "demo/acme"
FILES = FOLDER / "files"
PARTNER = "acme-partner"
# `grace` of `control/sweep/src/config.rs`: what is younger is left to its event.
GRACE = 60
ORDERS = b"order_id,sku,qty\n" + b"".join(b"%d,sku-%d,%d\n" % (n, n % 97, 1 + n % 9) for n in range(1, 2001))
# How many rows the small file of flights has, so that it is one for Step Functions.
SMALL_ROWS = 5_000


def heading(text):
    print(f"\n== {text}", flush=True)


class Case:
    """A file, how it is sent, and what has to become of it."""

    def __init__(self, what, name, body, by, state, code=None, runner=None):
        self.what, self.name, self.body, self.by = what, name, body, by
        self.state, self.code, self.runner = state, code, runner
        self.key = f"tenants/acme/in/{name}"
        self.path = FILES / name.rsplit("/", 1)[1]
        self.job = None


def cases():
    plain = flights.csv()
    rows = plain.splitlines(keepends=True)
    small = gzip.compress(b"".join(rows[:SMALL_ROWS]), mtime=0)
    large = gzip.compress(plain, 1, mtime=0)
    bad = ORDERS.replace(b"\n100,", b"\nC,", 1).replace(b",sku-5,", b",sku-5,many ", 1)
    return [
        Case("a small valid file", "orders/monday.csv", ORDERS, "sftp", "SUCCEEDED", runner="steps"),
        Case("a large one", "flights/2013.csv.gz", large, "aws", "SUCCEEDED", runner="worker"),
        Case("one with bad records", "orders/tuesday.csv", bad, "sftp", "REJECTED", "validation", "steps"),
        Case("a gzip that was cut", "flights/cut.csv.gz", small[: len(small) // 2], "aws", "REJECTED", "format.truncated", "steps"),
        Case("one no route takes", "invoices/may.pdf", b"%PDF-1.7\n", "aws", "UNROUTED"),
    ]


def document(name, bucket):
    """A document of the tenant, with the name of the bucket that the stack has made."""
    path = FOLDER / name
    path.write_text((OWN / name).read_text().replace("OUT", bucket))
    return path


def onboard(it, key):
    """The platform's people set the tenant up; the tenant's people its routes and the partner's user."""
    heading("a tenant, its routes, and the partner's user, over the config API")
    admin = it.token("olga", "platform", "admin")
    ann = it.token("ann", "acme", "config:write jobs:write")
    out = it.outputs["OutBucket"]
    it.cli(admin, "tenants", "apply", "-f", document("tenant.yaml", out))
    routes = [document(f"{name}.yaml", out) for name in ("orders", "flights")]
    it.cli(ann, "routes", "plan", "-f", routes[0])
    it.cli(ann, "routes", "apply", "-f", routes[0], "-f", routes[1])
    user = FOLDER / "user.json"
    user.write_text(json.dumps({"name": PARTNER, "home": "in/", "keys": [key.public]}))
    it.cli(ann, "users", "apply", "-f", user)
    it.cli(ann, "routes", "list")
    it.cli(ann, "routes", "simulate", "in/flights/2013.csv.gz", 8 << 20)
    return ann


def upload(it, server, key, files):
    heading("uploads, with a stock sftp client and the AWS CLI")
    FILES.mkdir()
    for case in files:
        case.path.write_bytes(case.body)
        target = f"s3://{it.outputs['IngestBucket']}/{case.key}"
        if case.by == "sftp":
            folder = case.name.rsplit("/", 1)[0]
            print(f"$ sftp {PARTNER}@127.0.0.1: put {case.path.name} {case.name}", flush=True)
            code, said = server.run(PARTNER, key, f"-mkdir {folder}", f"put {case.path} {case.name}")
            if code:
                raise SystemExit(f"sftp ended with {code}: {said}")
        else:
            print(f"$ aws s3 cp {case.path.name} {target}", flush=True)
            # The AWS CLI of MiniStack's environment.
            subprocess.run([eft.TOOLS / "aws", "s3", "cp", "--only-show-errors", case.path, target], env=it.env, check=True)


def follow(it, ann, files):
    heading("what becomes of them, over the status API")

    def known(keys):
        jobs = {job["key"]: job["job"] for job in it.asked(ann, "jobs", "list")["items"]}
        return jobs if keys <= jobs.keys() else None

    def found(keys, sweeps):
        # One that is younger is left to its event: the sweep is called until it has found all.
        if sweeps:
            it.sweep()
        return known(keys)

    # AWS tells of a file that came by SFTP; MiniStack does not, and so the sweep finds it once an event would be late.
    for by in ("aws", "sftp"):
        some = [case for case in files if case.by == by]
        if by == "sftp":
            print(f"\nno event told of what came by SFTP; the sweep takes it for lost after {GRACE} s", flush=True)
        jobs = until("every file has a job", lambda some=some, by=by: found({case.key for case in some}, by == "sftp"), 3 * GRACE)
        for case in some:
            case.job = jobs[case.key]
            print(f"\n{case.what}: {case.name}")
            if case.state == "UNROUTED":
                it.cli(ann, "arrivals", "unrouted")
            else:
                it.cli(ann, "jobs", "watch", case.job, "--within", 120, code={"REJECTED": 3}.get(case.state, 0))


def outcomes(it, ann, files):
    heading("outcomes")
    print(f"  {'file':<22}{'state':<12}{'code':<18}{'runner':<8}{'bytes':>10}  job")
    for case in files:
        job = it.asked(ann, "jobs", "show", case.job)
        code = (job.get("failure") or {}).get("code", "")
        print(f"  {case.name:<22}{job['state']:<12}{code:<18}{job['runner']:<8}{job['size']:>10,}  {case.job}")
        wanted = (case.state, case.code or "", case.runner or job["runner"])
        if (job["state"], code, job["runner"]) != wanted:
            raise SystemExit(f"{case.name}: {job['state']} {code} {job['runner']}, expected {wanted}")


def receipts(it, ann, files):
    heading("receipts, and whether they are genuine and true of what is there")
    for case in files:
        if case.state == "UNROUTED":
            continue
        path = FOLDER / f"{case.path.name}.receipt.json"
        path.write_text(it.cli(ann, "jobs", "receipt", case.job, quiet=True))
        receipt = json.loads(path.read_text())["receipt"]
        print(f"  {path.name}: {receipt['outcome']}", end="")
        if case.state == "SUCCEEDED":
            subprocess.run([eft.WORKER, "verify", path], env=it.env, stdout=subprocess.DEVNULL, check=True)
            print(f", signed; {receipt['deliveries'][0]['uri']} is as it says", end="")
        for reject in receipt.get("rejects", [])[:3]:
            print(f"\n    record {reject['record']:,} at byte {reject['offset']:,}: {reject['reason']}", end="")
        print(flush=True)


def contents(it, files):
    heading("what stands at the destination, read by other software")
    s3, bucket = it.client("s3"), it.outputs["OutBucket"]

    def read(key):
        return s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    check("the orders, each line with its new end", read("acme/orders/monday.csv") == ORDERS.replace(b"\n", b"\r\n"))
    plain = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True).decompress(read("acme/flights/2013.zst"))
    check(f"the flights, {len(plain):,} bytes of CSV", plain == flights.csv())
    listed = {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    check("and nothing of what was rejected", listed == {"acme/orders/monday.csv", "acme/flights/2013.zst"})


def told(it, queues, files):
    heading("what the topics told a queue that listens")
    events = []

    def all_told():
        sqs = it.client("sqs")
        for queue in queues:
            for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
                events.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        last = {(event["data"]["job"], event["data"]["state"]) for event in events}
        return all((case.job, case.state) in last for case in files)

    until("every outcome was told", all_told)
    for event in sorted({event["id"]: event for event in events}.values(), key=lambda event: event["time"]):
        print(f"  {event['time']}  {event['type']:<28} {event['data']['state']:<12} {event['subject']}")


def main():
    eft.end_cleanly()
    begun = time.monotonic()
    heading("the platform")
    with stand() as it, it.worker(), sftp(it.endpoint, it.outputs) as server:
        files = cases()
        queue = it.listener("listener", it.outputs["EventsTopic"])
        ann = onboard(it, key := Key(server.folder, PARTNER))
        server.admit(PARTNER)
        upload(it, server, key, files)
        follow(it, ann, files)
        outcomes(it, ann, files)
        receipts(it, ann, files)
        contents(it, files)
        told(it, [queue], files)
        heading("where to look next")
        print(f"  {FOLDER.relative_to(eft.HOME.parent)}/: documents, receipts, worker.log; cargo xtask up keeps a platform standing")
        print(f"  every outcome was as expected, after {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
