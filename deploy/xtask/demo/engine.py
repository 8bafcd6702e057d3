"""One real file through the worker, checked by other means; then a broken one, which must be refused."""

import gzip
import hashlib
import json
import subprocess
import sys
import time

import zstandard

import eft
import flights

FOLDER = eft.HOME / "demo"
ROUTE = eft.OWN / "demo" / "flights.yaml"
TIMES = 9  # 267 MiB of CSV


def heading(text):
    print(f"\n== {text}", flush=True)


def worker(server, *arguments):
    """Runs the worker with our own output, so that its progress bar is seen; gives its exit code and seconds."""
    print("$ eft-worker", *arguments, flush=True)
    begun = time.monotonic()
    done = subprocess.run([eft.WORKER, *map(str, arguments)], env=server.env, check=False)
    return done.returncode, time.monotonic() - begun


def expect(what, got, wanted):
    if got != wanted:
        raise SystemExit(f"{what}: {got!r}, expected {wanted!r}")


def receipt(path):
    """The receipt itself, whether or not it stands in an envelope with its signature."""
    document = json.loads(path.read_text())
    return document.get("receipt", document), document.get("signature")


def show(path):
    what, signature = receipt(path)
    source = what["source"]
    row("outcome", what["outcome"])
    if what.get("failure"):
        row("failure", f"{what['failure']['code']}: {what['failure']['message']}")
        row("remedy", what["failure"]["remedy"])
    row("source", f"{source['uri']}, {source.get('size', 0):,} bytes, CRC-64/NVME {source.get('crc64nvme')}")
    for stage in what.get("stages", []):
        records = f", {stage['records']:,} records, {stage['errors']} broken" if stage.get("records") is not None else ""
        row("stage", f"{stage['name']}: {stage['bytes_in']:,} bytes in, {stage['bytes_out']:,} out{records}")
    for reject in what.get("rejects", []):
        column = f", column {reject['column']}" if reject.get("column") else ""
        row("reject", f"record {reject['record']:,} at byte {reject['offset']:,}{column}: {reject['reason']}")
    for delivery in what.get("deliveries", []):
        row("delivery", f"{delivery['uri']}: {delivery['outcome']}, {delivery.get('size') or 0:,} bytes in {delivery['parts']} parts")
        row("", f"CRC-64/NVME {delivery.get('crc64nvme')}, checked by the endpoint: {delivery['endpoint']['crc64nvme']}")
        row("", f"SHA-256 {delivery.get('sha256')}")
    row("signed", f"{signature['algorithm']}, key {signature['key_id']}" if signature else "no")
    return what


def row(name, text):
    print(f"  {name:<9} {text}", flush=True)


def arrived(s3, key):
    """Reads an object with boto3 and zstandard; gives the compressed and the plain SHA-256, and the plain size."""
    outer, inner, size = hashlib.sha256(), hashlib.sha256(), 0
    decoder = zstandard.ZstdDecompressor().decompressobj(read_across_frames=True)
    for piece in s3.get_object(Bucket="out-files", Key=key)["Body"].iter_chunks(eft.MIB):
        outer.update(piece)
        plain = decoder.decompress(piece)
        inner.update(plain)
        size += len(plain)
    return outer.hexdigest(), inner.hexdigest(), size


def broken():
    """The file once, with four rows spoiled; the fourth is never looked at."""
    rows = flights.csv().split(b"\n")
    rows[1_000] = rows[1_000].replace(b"2013,", b"MMXIII,", 1)
    rows[50_000] = rows[50_000].rsplit(b",", 1)[0]
    rows[200_000] = rows[200_000].rsplit(b",", 1)[0] + b",2013-02-30T25:00:00Z"
    rows[300_000] = b""
    return gzip.compress(b"\n".join(rows), 1, mtime=0)


def good(server, s3, data):
    heading("a good file: gunzip, check 19 columns of every row, zstd")
    with open(data.path, "rb") as body:
        s3.upload_fileobj(body, "in-files", "partner/flights.csv.gz")
    path = FOLDER / "receipt.json"
    code, seconds = worker(
        server, "transfer", "--route", ROUTE, "--receipt", path,
        "s3://in-files/partner/flights.csv.gz", "s3://out-files/flights.csv.zst",
    )  # fmt: skip
    expect("exit code", code, eft.DONE)
    heading("the same bytes? read with boto3 and Python's zstandard")
    outer, inner, size = arrived(s3, "flights.csv.zst")
    expect("size of the CSV delivered", size, data.size)
    expect("SHA-256 of the CSV delivered", inner, data.sha256)
    print(f"  yes: {size:,} bytes, SHA-256 {inner}")
    heading("is the receipt genuine, and true of what is there?")
    code, _ = worker(server, "verify", path)
    expect("exit code", code, eft.DONE)
    what = show(path)
    expect("SHA-256 in the receipt", what["deliveries"][0].get("sha256"), outer)
    return seconds


def bad(server, s3):
    heading("a broken file: the route lets two broken rows pass, this one has four")
    s3.put_object(Bucket="in-files", Key="partner/broken.csv.gz", Body=broken())
    path = FOLDER / "rejected.json"
    path.unlink(missing_ok=True)
    code, seconds = worker(
        server, "transfer", "--route", ROUTE, "--receipt", path,
        "s3://in-files/partner/broken.csv.gz", "s3://out-files/broken.csv.zst",
    )  # fmt: skip
    expect("exit code", code, eft.REJECTED)
    what = show(path)
    expect("outcome", what["outcome"], "REJECTED")
    expect("broken records listed", [reject["record"] for reject in what["rejects"]], [1_000, 50_000, 200_000])
    visible = [entry["Key"] for entry in s3.list_objects_v2(Bucket="out-files").get("Contents", [])]
    expect("objects at the destination", visible, ["flights.csv.zst"])
    expect("uploads left open", server.ask("/_uploads"), [])
    return seconds


def main():
    eft.end_cleanly()
    FOLDER.mkdir(parents=True, exist_ok=True)
    heading("data")
    data = flights.Repeated(TIMES)
    print(f"  {data.path.name}: {data.rows:,} rows, {data.size / eft.MIB:.0f} MiB of CSV, {data.path.stat().st_size / eft.MIB:.0f} MiB of gzip")
    with eft.server() as server:
        print(f"  in-memory S3 on {server.endpoint}")
        s3 = server.client()
        first = good(server, s3, data)
        second = bad(server, s3)
    heading("what was shown")
    print(f"  {data.rows:,} flights: gunzipped, every row checked, compressed and delivered in {first:.1f} s")
    print(f"  ({data.size / eft.MIB / first:.0f} MiB of CSV a second); read back by other software, byte for byte the same")
    print("  the receipt is signed, and verified against the object it speaks of")
    print(f"  a file with broken rows was refused in {second:.1f} s; nothing of it is visible, the receipt says which rows")
    print(f"  files: {FOLDER.relative_to(eft.HOME.parent)}/receipt.json and rejected.json; the route is {ROUTE.relative_to(eft.HOME.parent)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
