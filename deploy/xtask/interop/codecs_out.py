"""What the worker compresses, other software accepts; what it checks, it checks."""

import bz2
import gzip
import io
import lzma
import subprocess

import zstandard
from bed import TOOLS, noise, same, table

import eft

PLAIN = table(200_000)
CSV = "stages:\n  - validate: { csv: { header: [id, name, day], types: { id: integer, day: date } } }\n"


def tested_by(bed, program, packed, suffix):
    """`gzip -t` and its like."""
    done = subprocess.run([program, "-t", "-q", bed.file(packed, suffix)], capture_output=True, check=False)
    assert done.returncode == 0, f"{program} -t: {done.stderr!r}"


def compressed(bed, codec, level, data):
    key = f"compress/{codec}-{level}-{len(data)}"
    bed.put(key, data)
    bed.transfer(key, route=f"stages:\n  - compress: {{ codec: {codec}, level: {level} }}\n")
    return key, bed.get(key)


def unzstd(packed):
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True) as reader:
        return reader.read()


def test_gzip(bed):
    for level, data in [(1, PLAIN), (6, PLAIN), (9, PLAIN), (6, b""), (6, b"x"), (6, noise(12 * eft.MIB))]:
        _, packed = compressed(bed, "gzip", level, data)
        tested_by(bed, "gzip", packed, ".gz")
        same(f"gzip level {level}", gzip.decompress(packed), data)


def test_zstd(bed):
    for level, data in [(1, PLAIN), (3, PLAIN), (19, PLAIN[: 2 * eft.MIB]), (3, b""), (3, b"x"), (3, noise(12 * eft.MIB))]:
        _, packed = compressed(bed, "zstd", level, data)
        tested_by(bed, "zstd", packed, ".zst")
        same(f"zstd level {level}", unzstd(packed), data)


def test_bzip2(bed):
    for level, data in [(1, PLAIN), (9, PLAIN), (9, b""), (9, b"x"), (9, noise(2 * eft.MIB))]:
        _, packed = compressed(bed, "bzip2", level, data)
        tested_by(bed, "bzip2", packed, ".bz2")
        same(f"bzip2 level {level}", bz2.decompress(packed), data)


def test_xz(bed):
    for level, data in [(0, PLAIN), (1, PLAIN), (6, PLAIN[: 3 * eft.MIB]), (6, b""), (6, b"x"), (1, noise(5 * eft.MIB))]:
        _, packed = compressed(bed, "xz", level, data)
        tested_by(bed, "xz", packed, ".xz")
        same(f"xz level {level}", lzma.decompress(packed), data)


def test_read_by_every_tool(bed):
    key, packed = compressed(bed, "zstd", 5, PLAIN)
    for tool in TOOLS:
        same(tool, bed.get_with(tool, "out-files", key), packed)


def test_back_and_forth(bed):
    route = "stages:\n  - decompress: { codec: gzip }\n  - compress: { codec: zstd }\n"
    bed.put("chain/a.gz", gzip.compress(PLAIN))
    bed.transfer("chain/a.gz", route=route, to="chain/a.zst")
    same("gzip to zstd", unzstd(bed.get("chain/a.zst")), PLAIN)


def test_csv(bed):
    bed.put("csv/good", PLAIN)
    receipt = bed.transfer("csv/good", route=CSV).receipt
    same("a valid file", bed.get("csv/good"), PLAIN)
    assert receipt["stages"][0]["records"] == 200_000 and receipt["stages"][0]["errors"] == 0, receipt["stages"]
    spoiled = PLAIN.replace(b"\n1234,", b"\n12x34,", 1)
    bed.put("csv/bad", spoiled)
    result = bed.transfer("csv/bad", route=CSV, code=eft.REJECTED)
    assert not bed.exists("csv/bad")
    (reject,) = result.receipt["rejects"]
    # Record 1 is `0,…`; the offset is of the record's first byte.
    assert (reject["record"], reject["offset"], reject["column"]) == (1235, spoiled.index(b"12x34,"), "id"), reject
    assert result.receipt["outcome"] == "REJECTED"


def test_csv_header(bed):
    bed.put("csv/header", PLAIN.replace(b"id,name,day", b"id,day,name", 1))
    result = bed.transfer("csv/header", route=CSV, code=eft.REJECTED)
    assert result.receipt["rejects"][0]["record"] == 0, result.receipt


def test_utf8(bed):
    route = "stages:\n  - validate: utf8\n"
    text = ("naïve ключ 日本 😀\n" * 100_000).encode()
    bed.put("utf8/good", text)
    bed.transfer("utf8/good", route=route)
    same("valid UTF-8", bed.get("utf8/good"), text)
    for key, tail in [("utf8/cut", "é".encode()[:1]), ("utf8/latin", b"\xe9t\xe9\n")]:
        bed.put(key, text + tail)
        bed.transfer(key, route=route, code=eft.REJECTED)
        assert not bed.exists(key)
