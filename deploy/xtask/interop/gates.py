"""Promises that are numbers: memory, requests, bytes. Counts and ratios only, never time."""

import gzip
import os

from bed import table

import eft

GIB = 1 << 30
# SEMANTICS G9: the worker's resident memory is at most its byte budget and this.
OVER_BUDGET = 40 * eft.MIB + eft.LARGER_CODE


def counted(bed, *args, **options):
    """One run from a server that has counted nothing; gives the run, the counts by operation, and the bytes."""
    bed.server.ask("/_reset", "POST")
    result = bed.worker(*args, measured=True, **options)
    stats = bed.server.ask("/_stats")
    return result, stats["counts"], stats


def within(result, budget):
    peak = result.usage["rss"]
    print(f"     peak {peak / eft.MIB:.0f} MiB with a budget of {budget / eft.MIB:.0f} MiB, {result.usage['cpu']:.2f} CPU-s")
    assert peak <= budget + OVER_BUDGET, f"{peak:,} bytes resident with a budget of {budget:,}"


def test_memory_of_an_identity_route(bed):
    for mib in (32, 128):
        flags = ["--no-server-copy", "--memory", f"{mib}MiB"]
        result, _, stats = counted(bed, *flags, "s3://synthetic/m-2GiB", f"s3://discard/memory-{mib}")
        assert stats["bytes_in"] >= 2 * GIB, f"it did not move the object: {stats}"
        within(result, mib * eft.MIB)


def test_memory_is_flat(bed):
    """16 GiB (or EFT_FLAT_GIB) really pass, and take no more memory than 2 GiB do, but for the list of parts that the commit
    names."""
    large = int(os.environ.get("EFT_FLAT_GIB", "16"))
    peaks = {}
    for gib in (2, large):
        result, _, stats = counted(bed, "--no-server-copy", f"s3://synthetic/f-{gib}GiB", f"s3://discard/flat-{gib}")
        assert stats["bytes_in"] >= gib * GIB <= stats["bytes_out"], f"it did not move the object: {stats}"
        assert result.receipt["source"]["crc64nvme_matches_source"], result.receipt["source"]
        within(result, 128 * eft.MIB)
        peaks[gib] = result.usage["rss"]
    # There can be 10,000 parts, of 8 MiB at least: about 1.6 KiB each, as acknowledgements, as a request and as its XML.
    parts = min(10_000, large * GIB // (8 * eft.MIB))
    assert peaks[large] <= peaks[2] + parts * 1_700 + 3 * eft.MIB, f"memory grows with the object: {peaks}"


def test_a_tebibyte_is_planned(bed):
    result, counts, _ = counted(bed, "--no-server-copy", "s3://synthetic/p-1TiB", "s3://out-files/planned", command="plan")
    said = dict(line.split(None, 1) for line in result.out.decode().splitlines())
    assert said["source"] == "1TiB" and 5_000 < int(said["parts"].split(",")[0]) <= 10_000, said
    assert counts == {"HeadObject": 1}, counts


def test_memory_of_a_chain(bed):
    bed.put("memory/chain.gz", gzip.compress(table(2_000_000), 1))
    route = "stages:\n  - decompress: { codec: gzip }\n  - validate: { csv: { header: true } }\n  - compress: { codec: zstd, level: 3 }\n"
    result, counts, _ = counted(bed, "--memory", "32MiB", "s3://in-files/memory/chain.gz", "s3://discard/memory-chain", route=route)
    assert {"PutObject", "CompleteMultipartUpload"} & counts.keys(), f"it delivered nothing: {counts}"
    within(result, 32 * eft.MIB)


def test_memory_between_files(bed):
    """What is in flight between files is little, whatever the budget; 48 MiB were measured, and 151 with parts as for S3."""
    source, target = bed.file(bytes(256 * eft.MIB)), bed.path()
    result = bed.worker("--memory", "512MiB", source, target, route="stages: [{ validate: utf8 }]\n", measured=True)
    assert target.stat().st_size == source.stat().st_size and result.receipt["source"]["size"] == 256 * eft.MIB
    assert result.usage["rss"] <= 80 * eft.MIB + eft.LARGER_CODE, f"{result.usage['rss'] / eft.MIB:.0f} MiB"
    source.unlink()
    target.unlink()


def test_requests_of_a_stream(bed):
    flags = ["--no-server-copy", "--part-size", "16MiB", "--concurrency", "8"]
    result, counts, stats = counted(bed, *flags, "s3://synthetic/r-1GiB", "s3://discard/requests")
    parts = GIB // (16 * eft.MIB)
    assert counts["UploadPart"] == parts, counts
    assert counts["CreateMultipartUpload"] == counts["CompleteMultipartUpload"] == 1, counts
    assert counts["GetObject"] <= parts + 1, f"more GETs than parts: {counts}"
    assert sum(counts.values()) <= 2 * parts + 8, f"more than a few requests beside the data: {counts}"
    assert GIB <= stats["bytes_in"] <= GIB + eft.MIB, stats["bytes_in"]
    assert stats["bytes_out"] <= GIB + eft.MIB, f"bytes read twice: {stats['bytes_out']}"
    totals = result.receipt["totals"]
    assert (totals["bytes_read"], totals["bytes_reread"], totals["retries"]) == (GIB, 0, 0), totals
    said = {name: count for name, count in totals["requests"].items() if name in ("GetObject", "UploadPart")}
    assert said == {name: counts[name] for name in said} and said, (said, counts)


def test_requests_of_a_small_object(bed):
    bed.put("requests/small", b"x" * 1000)
    _, counts, _ = counted(bed, "--no-server-copy", "s3://in-files/requests/small", "s3://out-files/requests/small")
    assert counts["GetObject"] == 1 and "UploadPart" not in counts and counts["PutObject"] == 1, counts
    assert sum(counts.values()) <= 4, counts


def test_a_copy_moves_no_bytes(bed):
    bed.put("requests/copied", b"x" * (6 * eft.MIB))
    _, counts, stats = counted(bed, "s3://in-files/requests/copied", "s3://out-files/requests/copied")
    moved = {"GetObject", "PutObject", "UploadPart"} & counts.keys()
    assert not moved and {"CopyObject", "UploadPartCopy"} & counts.keys(), counts
    assert bed.exists("requests/copied")
    assert stats["bytes_in"] + stats["bytes_out"] < 64 << 10, stats


def test_a_plan_changes_nothing(bed):
    bed.put("requests/planned", b"x" * 1000)
    result, counts, _ = counted(bed, "s3://in-files/requests/planned", "s3://out-files/requests/planned", command="plan")
    assert result.out and counts.get("HeadObject"), f"it planned nothing: {result}"
    changing = {name for name in counts if not name.startswith(("Head", "Get", "List"))}
    assert not changing and not bed.exists("requests/planned"), counts
