"""The same file through both executors: what is delivered and archived is the same to the byte, and the receipts say the same.

Each case is two routes that differ in `executor` alone, and the same bytes to each of them. Nothing says here what comes out:
that other tests do. Both say the same, or the check fails.
"""

import base64
import csv
import functools
import gzip
import io
import json
import random
import zipfile

from checks import ENDED, check, jobs_of, until

RUNNERS = ("steps", "worker")
PLACE = "acme/both"
# Where receipts may differ, by path, with why. `*` is any number or name. What is not here has to be the same.
MAY_DIFFER = {
    "route_id": "there are two routes",
    "route_revision": "there are two routes",
    "started_at": "a time",
    "finished_at": "a time",
    "elapsed_ms": "a time",
    "stages.*.elapsed_ms": "a time",
    "deliveries.*.delivery_id": "an id",
    "deliveries.*.version_id": "an id",
    "deliveries.*.parts": "how an object is sent, not what it holds: parts fit the memory of who sends them",
    "deliveries.*.etag": "S3 makes it of the parts; with the same parts it has to be the same",
    "totals.requests.*": "what it cost: staging takes more requests than one pass",
    "totals.retries": "what it cost",
    "totals.throttles": "what it cost",
}
# The same, where only these values may be different: by Step Functions first, then by the worker.
MAY_BE = {
    # Step Functions stages what a route makes, and S3 copies it to its place.
    "deliveries.*.method": (("server_copy", "put"), ("server_copy", "stream")),
    # When the file turns out bad, the worker has begun to send it; Step Functions sends what has proved good.
    "deliveries.*.outcome": (("NOT_ATTEMPTED", "FAILED"),),
}
# How far a run had come when a broken record has stopped it: what has arrived by then is the network's doing.
WHERE_IT_STOPPED = {"stages.*.bytes_in", "stages.*.bytes_out", "totals.bytes_read"}
# What S3 says of an object besides its bytes.
HEADERS = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "Expires", "StorageClass",
           "ServerSideEncryption", "ContentLength", "ChecksumCRC64NVME", "ChecksumType", "Metadata")  # fmt: skip


class Case:
    """A file, a route but for its executor, and how both have to end. `taken`: names at which something stands already."""

    def __init__(self, name, file, body, state="SUCCEEDED", code=None, keys=("{name}",), taken=(), places=None, sent=None, **route):
        self.name, self.file, self.body, self.state, self.code, self.taken = name, file, body, state, code, taken
        self.keys, self.places, self.sent, self.route = keys, places or {}, sent or {}, route

    def __str__(self):
        return self.name

    def document(self, runner, bucket):
        """The route of a runner."""
        place = {"bucket": bucket, "on_existing": "fail", **self.places}
        destinations = [{"s3": {**place, "key": f"{PLACE}/{runner}/{self.name}/{key}"}} for key in self.keys]
        return {"match": {"prefix": self.folder(runner)}, "executor": runner, "destinations": destinations, **self.route}

    def folder(self, runner):
        return f"tenants/acme/both/{runner}/{self.name}/"


def table(rows, seed):
    """Orders with a note that does not compress to nothing; the same for the same seed."""
    draw = random.Random(seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["sku", "qty", "note"])
    for number in range(rows):
        writer.writerow([f"sku-{number % 97}", 1 + number % 9, base64.b64encode(draw.randbytes(300)).decode()])
    return text.getvalue().encode()


@functools.cache
def cases():
    checked = {"validate": {"csv": {"header": ["sku", "qty", "note"], "types": {"qty": "integer"}}}}
    # Larger than a part of the one and smaller than one of the other, and of many blocks of every codec.
    large = table(30_000, 1)
    packed = gzip.compress(large[: 5 << 20], 1, mtime=0) + gzip.compress(large[5 << 20 :], 1, mtime=0)
    small = table(200, 2)
    bad = small.replace(b"\nsku-5,", b"\nsku-5,many ", 1).replace(b"\nsku-9,", b"\n,,sku-9,", 1)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as entries:
        entries.writestr("orders.csv", small)
    described = {
        "ContentType": "text/csv; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": "attachment",
        "ContentLanguage": "de",
        "Metadata": {"batch": "7", "eft-delivery-id": "of somebody else"},
        "Tagging": "team=a%26b&kind=orders",
    }
    stored = {"content_type": "application/x-orders", "metadata": {"batch": "8"}, "tags": {"team": "c&d"}, "storage_class": "STANDARD_IA"}
    decode, encode = {"decompress": {"codec": "gzip"}}, {"compress": {"codec": "zstd", "level": 3}}
    parquet = {"csv_to_parquet": {"header": True, "types": {"qty": "integer"}, "row_group_rows": 5000, "row_group_bytes": "1MiB"}}
    return [
        Case("identity", "a.csv", small, stages=[], archive={"original": True}, digests=["sha256"], sent=described),
        Case("checked", "a.csv", small, stages=[checked], archive={"original": True}, sent=described, keys=("{name}", "again/{name}")),
        Case("repacked", "a.csv.gz", packed, stages=[decode, checked, encode], archive={"original": True}, digests=["sha256"], keys=("{stem}.zst",)),
        Case("encoded", "a.txt", "Größe, Façon, 10 €\r\nNaïve\r\n".encode("cp1252") * 9000, sent=described, places=stored,
             stages=[{"charset": {"from": "windows-1252", "to": "utf-8"}}, {"newline": {"to": "lf"}}], digests=["sha256"]),
        Case("columns", "a.csv", large[: large.index(b"\n", 4 << 20) + 1], stages=[parquet], keys=("{stem}.parquet",)),
        Case("archived", "a.csv", small, stages=[{"compress": {"codec": "zip"}}], keys=("{name}.zip", "b/{name}.zip")),
        Case("unzipped", "a.zip", archive.getvalue(), stages=[{"decompress": {"codec": "zip"}}, encode], keys=("{stem}.zst",)),
        Case("empty", "a.csv", b"", stages=[{"compress": {"codec": "gzip"}}]),
        Case("broken", "a.csv", bad, "REJECTED", "validation", stages=[checked, encode], limits={"max_errors": 1},
             keys=("{name}", "b/{name}")),
        Case("cut", "a.csv.gz", packed[: len(packed) // 2], "REJECTED", "format.truncated", stages=[decode, encode], keys=("{stem}",)),
        Case("taken", "a.csv", small, "FAILED", "destination.exists", stages=[{"newline": {"to": "crlf"}}], taken=["a.csv"]),
        Case("halved", "a.csv", small, "PARTIALLY_DELIVERED", "destination.exists", stages=[{"newline": {"to": "crlf"}}],
             keys=("{name}", "b/{name}"), taken=["b/a.csv"]),
    ]  # fmt: skip


def routes(it, ann):
    """Saves the routes of all cases, as somebody of the tenant does. Somebody else has to wait until routers know them."""
    saved = []
    for case in cases():
        for runner in RUNNERS:
            answer = ann.ask("PUT", f"/v1/routes/both-{case}-{runner}", case.document(runner, it.outputs["OutBucket"]), if_none_match="*")
            if answer.status != 201:
                raise SystemExit(f"the route of {case} by {runner}: {answer}")
            saved.append(answer.status)
    check(f"routes of {len(saved) // 2} kinds are saved, for either executor", len(saved) == 2 * len(cases()))


def send(it, some):
    s3 = it.client("s3")
    for case in some:
        for runner in RUNNERS:
            for name in case.taken:
                s3.put_object(Bucket=it.outputs["OutBucket"], Key=f"{PLACE}/{runner}/{case}/{name}", Body=b"somebody else's")
            s3.put_object(Bucket=it.outputs["IngestBucket"], Key=case.folder(runner) + case.file, Body=case.body, **case.sent)


def ended(it, some):
    """The jobs of both, when all have ended and were told."""

    def look():
        jobs = jobs_of(it.endpoint, it.outputs, "tenants/acme/both/")
        over = [job for job in jobs.values() if job["state"] in ENDED and not job.get("outbox")]
        return jobs if len(over) == 2 * len(some) else None

    return until("all jobs of both executors have ended", look, within=120)


def leaves(value, path=""):
    """What a document holds, by its path."""
    if isinstance(value, dict):
        pairs = [(f"{path}.{name}" if path else name, inner) for name, inner in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{path}.{at}", inner) for at, inner in enumerate(value)]
    else:
        return {path: value}
    return {at: leaf for name, inner in pairs for at, leaf in leaves(inner, name).items()} or {path: value}


def kind(path):
    """The path with `*` for numbers, and for the names of requests."""
    steps = ["*" if step.isdigit() else step for step in path.split(".")]
    return "totals.requests.*" if steps[:2] == ["totals", "requests"] else ".".join(steps)


def differing(first, second):
    """What differs between two documents, by path."""
    one, other = leaves(first), leaves(second)
    return {path: (one.get(path), other.get(path)) for path in one.keys() | other.keys() if one.get(path) != other.get(path)}


def standing(it, folder):
    """Everything that stands in a folder of the deliveries: bytes, and all that S3 says of them, by name."""
    s3, bucket, found = it.client("s3"), it.outputs["OutBucket"], {}
    for version in s3.list_object_versions(Bucket=bucket, Prefix=folder).get("Versions", []):
        at = {"Bucket": bucket, "Key": version["Key"], "VersionId": version["VersionId"]}
        answer = s3.get_object(**at, ChecksumMode="ENABLED")
        ours = answer["Metadata"].pop("eft-delivery-id", None)
        said = {name: answer.get(name) for name in HEADERS}
        tags = sorted((tag["Key"], tag["Value"]) for tag in s3.get_object_tagging(**at)["TagSet"])
        found.setdefault(version["Key"].removeprefix(folder), []).append((answer["Body"].read(), said, tags, ours))
    return found


def archived(it, job):
    """What stands in the archive of a job, by what its name has behind the job's id and the version's place."""
    s3, bucket, folder = it.client("s3"), it.outputs["ArchiveBucket"], f"{job['id']}/"
    found = {}
    for version in s3.list_object_versions(Bucket=bucket, Prefix=folder).get("Versions", []):
        answer = s3.get_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"], ChecksumMode="ENABLED")
        name = version["Key"].removeprefix(folder).replace(job["arrival"]["version_id"], "VERSION")
        found.setdefault(name, []).append((answer["Body"].read(), answer.get("ChecksumCRC64NVME")))
    return found


def same_archives(it, case, jobs):
    """Holds what is archived by the one to what is by the other, and to what was sent; gives how many objects."""
    one, other = (archived(it, jobs[runner]) for runner in RUNNERS)
    if one != other:
        names = [{name: [len(body) for body, _ in versions] for name, versions in found.items()} for found in (one, other)]
        raise SystemExit(f"wrong: {case}: by steps the archive has {names[0]}, by worker {names[1]}")
    originals = [body for versions in one.values() for body, _ in versions]
    if case.route.get("archive", {}).get("original") and originals != [case.body]:
        raise SystemExit(f"wrong: {case}: the archive has {len(originals)} objects, and not the original once")
    return len(originals)


def receipt(ann, job):
    answer = ann.ask("GET", f"/v1/jobs/{job['id']}/receipt")
    if answer.status != 200:
        raise SystemExit(f"the receipt of {job['arrival']['key']}: {answer}")
    return answer.body


def same_objects(it, case, receipts):
    """Holds what stands for the one to what stands for the other; gives how many objects, and their bytes."""
    stands = {}
    for runner in RUNNERS:
        stands[runner] = standing(it, f"{PLACE}/{runner}/{case}/")
        delivered = {one["uri"]: one["delivery_id"] for one in receipts[runner]["receipt"]["deliveries"]}
        for name, versions in stands[runner].items():
            [(body, said, tags, ours)] = versions
            uri = f"s3://{it.outputs['OutBucket']}/{PLACE}/{runner}/{case}/{name}"
            expected = None if name in case.taken else delivered.get(uri)
            if ours != expected:
                raise SystemExit(f"wrong: {case} by {runner}: {name} says it is of delivery {ours}, the receipt says {expected}")
            stands[runner][name] = (body, said, tags)
    one, other = (stands[runner] for runner in RUNNERS)
    if one.keys() != other.keys():
        raise SystemExit(f"wrong: {case}: one delivers {sorted(one)}, the other {sorted(other)}")
    for name in one:
        (body, *said), (other_body, *other_said) = one[name], other[name]
        if body != other_body:
            at = next((at for at, (a, b) in enumerate(zip(body, other_body)) if a != b), min(len(body), len(other_body)))
            sizes = f"{len(body)} bytes by steps, {len(other_body)} by worker"
            raise SystemExit(f"wrong: {case}: {name} has {sizes}, which differ from byte {at} on")
        if said != other_said:
            raise SystemExit(f"wrong: {case}: of {name} S3 says {said} by steps, and {other_said} by worker")
    return len(one) - len(case.taken), sum(len(body) for body, *_ in one.values())


def same_receipts(case, jobs, receipts):
    """Holds one receipt to the other; gives the kinds of paths that differ."""
    documents = []
    for runner in RUNNERS:
        # The two files differ in where they are and in their versions, wherever these are named.
        arrival, text = jobs[runner]["arrival"], json.dumps(receipts[runner]["receipt"])
        for own, common in ((f"both/{runner}/", "both/RUNNER/"), (jobs[runner]["id"], "JOB"), (arrival["version_id"], "VERSION")):
            text = text.replace(own, common)
        documents.append(json.loads(text))
    found = differing(*documents)
    may = {path for path, both in found.items() if kind(path) in MAY_DIFFER or both in MAY_BE.get(kind(path), ())}
    may |= {path for path in found if case.state == "REJECTED" and kind(path) in WHERE_IT_STOPPED}
    may -= {path for path in found if path.endswith(".etag") and path.removesuffix("etag") + "parts" not in found}
    wrong = {path: both for path, both in found.items() if path not in may}
    if wrong:
        said = "; ".join(f"{path}: {both}" for path, both in sorted(wrong.items()))
        raise SystemExit(f"wrong: {case}: the receipts differ (steps, worker) in {said}")
    return {kind(path) for path in found}


def compared(it, ann):
    """Sends every case to both, with a worker beside them, and compares. `ann`: the API for somebody of the tenant."""
    some = cases()
    send(it, some)
    jobs = ended(it, some)
    differ, parts, archives = set(), set(), 0
    for case in some:
        own = {runner: jobs[f"{runner}/{case}/{case.file}"] for runner in RUNNERS}
        ends = {runner: (job["state"], (job.get("failure") or {}).get("code"), job["runner"]) for runner, job in own.items()}
        if ends != {runner: (case.state, case.code, runner) for runner in RUNNERS}:
            why = [job.get("failure") for job in own.values()]
            raise SystemExit(f"wrong: {case}: {ends}, expected {case.state} {case.code}; {why}")
        receipts = {runner: receipt(ann, job) for runner, job in own.items()}
        if receipts["steps"]["signature"]["key_id"] != receipts["worker"]["signature"]["key_id"]:
            raise SystemExit(f"wrong: {case}: the receipts are signed with different keys")
        parts |= {delivery["parts"] for delivery in receipts["worker"]["receipt"]["deliveries"]}
        objects, size = same_objects(it, case, receipts)
        archives += same_archives(it, case, own)
        differ |= same_receipts(case, own, receipts)
        print(f"  the same by Step Functions and by the worker: {case}, {case.state}, {objects} objects, {size:,} bytes", flush=True)
    check("the worker sent one of them in several parts, and S3 copied it in one", max(parts) > 1 and "deliveries.*.parts" in differ)
    check(f"both archive the same: {archives} originals", archives >= 3)
    print("  their receipts differ in", ", ".join(sorted(differ)), flush=True)
