"""Compressed files as other software writes them are read whole; damaged ones are refused."""

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import zipfile
import zlib

import zstandard
from bed import noise, same, table

import eft

BUNZIP2 = "stages:\n  - decompress: { codec: bzip2 }\n"
GUNZIP = "stages:\n  - decompress: { codec: gzip }\n"
UNZSTD = "stages:\n  - decompress: { codec: zstd }\n"
UNZIP = "stages:\n  - decompress: { codec: zip }\n"
UNXZ = "stages:\n  - decompress: { codec: xz }\n"
BGZIP_EOF = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
PLAIN = table(200_000)


def bgzip(data):
    """Blocks as samtools writes them: a `BC` extra field with the block's size, and an empty block at the end."""
    blocks = []
    for at in range(0, len(data), 0xFF00):
        piece = data[at : at + 0xFF00]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(piece) + deflate.flush()
        head = struct.pack("<4BI2BH2B2H", 0x1F, 0x8B, 8, 4, 0, 0, 0xFF, 6, 0x42, 0x43, 2, len(body) + 25)
        blocks.append(head + body + struct.pack("<2I", zlib.crc32(piece), len(piece)))
    return b"".join(blocks) + BGZIP_EOF


def members(data, count):
    step = len(data) // count + 1
    return b"".join(gzip.compress(data[at : at + step], 6, mtime=0) for at in range(0, len(data), step))


def accepted(bed, name, route, packed, plain):
    key = f"codecs/{name}"
    bed.put(key, packed)
    bed.transfer(key, route=route)
    same(name, bed.get(key), plain)


def rejected(bed, name, route, packed):
    key = f"codecs/bad/{name}"
    bed.put(key, packed)
    bed.transfer(key, route=route, code=eft.REJECTED)
    assert not bed.exists(key), f"{name}: something is visible at the destination"


def test_gzip(bed):
    for level in (1, 6, 9):
        accepted(bed, f"gzip-{level}", GUNZIP, gzip.compress(PLAIN, level), PLAIN)
    accepted(bed, "gzip-empty", GUNZIP, gzip.compress(b""), b"")
    accepted(bed, "gzip-noise", GUNZIP, gzip.compress(noise(3 * eft.MIB), 1), noise(3 * eft.MIB))


def test_gzip_program(bed):
    packed = subprocess.run(["gzip", "-c", "--name", bed.file(PLAIN, ".csv")], capture_output=True, check=True).stdout
    accepted(bed, "gzip-with-name", GUNZIP, packed, PLAIN)


def test_gzip_members(bed):
    for count in (2, 7, 1000):
        accepted(bed, f"gzip-members-{count}", GUNZIP, members(PLAIN, count), PLAIN)
    accepted(bed, "gzip-empty-members", GUNZIP, gzip.compress(b"") + gzip.compress(PLAIN) + gzip.compress(b""), PLAIN)


def test_bgzip(bed):
    packed = bgzip(PLAIN)
    assert gzip.decompress(packed) == PLAIN
    accepted(bed, "bgzip", GUNZIP, packed, PLAIN)
    accepted(bed, "bgzip-eof-only", GUNZIP, BGZIP_EOF, b"")


def test_gzip_damaged(bed):
    packed = gzip.compress(PLAIN, mtime=0)
    rejected(bed, "trailing-garbage", GUNZIP, packed + b"garbage")
    rejected(bed, "trailing-magic", GUNZIP, packed + packed[:4])
    rejected(bed, "truncated", GUNZIP, packed[: len(packed) // 2])
    rejected(bed, "no-trailer", GUNZIP, packed[:-8])
    rejected(bed, "wrong-crc", GUNZIP, packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:])
    rejected(bed, "wrong-length", GUNZIP, packed[:-1] + bytes([packed[-1] ^ 1]))
    rejected(bed, "not-gzip", GUNZIP, PLAIN)
    cut = members(PLAIN, 7)
    rejected(bed, "last-member-cut", GUNZIP, cut[:-20])


def test_zstd(bed):
    for level in (1, 3, 19):
        accepted(bed, f"zstd-{level}", UNZSTD, zstandard.compress(PLAIN[: 2 * eft.MIB], level), PLAIN[: 2 * eft.MIB])
    checked = zstandard.ZstdCompressor(level=3, write_checksum=True, write_content_size=False).compress(PLAIN)
    accepted(bed, "zstd-checksum", UNZSTD, checked, PLAIN)
    accepted(bed, "zstd-frames", UNZSTD, checked + zstandard.compress(b"") + checked, PLAIN * 2)
    skippable = struct.pack("<2I", 0x184D2A50, 5) + b"hello"
    accepted(bed, "zstd-skippable", UNZSTD, skippable + checked + skippable, PLAIN)


def test_zstd_damaged(bed):
    packed = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(PLAIN)
    rejected(bed, "zstd-garbage", UNZSTD, packed + b"garbage")
    rejected(bed, "zstd-truncated", UNZSTD, packed[:-5])
    rejected(bed, "zstd-checksum", UNZSTD, packed[:-1] + bytes([packed[-1] ^ 1]))


def test_bomb(bed):
    route = "limits: { max_ratio: 200 }\n" + GUNZIP
    rejected(bed, "bomb", route, gzip.compress(bytes(200 * eft.MIB), 9))


def test_bzip2(bed):
    for level in (1, 9):
        accepted(bed, f"bzip2-{level}", BUNZIP2, bz2.compress(PLAIN, level), PLAIN)
    accepted(bed, "bzip2-empty", BUNZIP2, bz2.compress(b""), b"")
    accepted(bed, "bzip2-noise", BUNZIP2, bz2.compress(noise(3 * eft.MIB)), noise(3 * eft.MIB))
    accepted(bed, "bzip2-streams", BUNZIP2, bz2.compress(PLAIN, 1) + bz2.compress(b"") + bz2.compress(PLAIN), PLAIN * 2)
    packed = subprocess.run(["bzip2", "-c", bed.file(PLAIN, ".csv")], capture_output=True, check=True).stdout
    accepted(bed, "bzip2-program", BUNZIP2, packed, PLAIN)


def test_bzip2_damaged(bed):
    packed = bz2.compress(PLAIN)
    rejected(bed, "bzip2-garbage", BUNZIP2, packed + b"garbage")
    rejected(bed, "bzip2-truncated", BUNZIP2, packed[:-1])
    middle = len(packed) // 2
    rejected(bed, "bzip2-bit", BUNZIP2, packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :])


def test_xz(bed):
    piece = PLAIN[: 2 * eft.MIB]
    for level in (0, 6, 9):
        accepted(bed, f"xz-{level}", UNXZ, lzma.compress(piece, preset=level), piece)
    for check in (lzma.CHECK_NONE, lzma.CHECK_CRC32, lzma.CHECK_CRC64, lzma.CHECK_SHA256):
        accepted(bed, f"xz-check-{check}", UNXZ, lzma.compress(piece, check=check, preset=0), piece)
    streams = lzma.compress(piece, preset=0) + bytes(4) + lzma.compress(b"") + bytes(8) + lzma.compress(piece, preset=1)
    accepted(bed, "xz-streams", UNXZ, streams + bytes(12), piece * 2)
    command = ["xz", "-c", "-T2", "-1", "--block-size=300KiB", bed.file(PLAIN, ".csv")]
    accepted(bed, "xz-program", UNXZ, subprocess.run(command, capture_output=True, check=True).stdout, PLAIN)


def test_xz_damaged(bed):
    packed = lzma.compress(PLAIN[: eft.MIB], preset=0)
    rejected(bed, "xz-garbage", UNXZ, packed + b"garbage")
    rejected(bed, "xz-padding", UNXZ, packed + bytes(3))
    rejected(bed, "xz-truncated", UNXZ, packed[:-1])
    rejected(bed, "xz-index", UNXZ, packed[:-20] + bytes([packed[-20] ^ 1]) + packed[-19:])
    large = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 96 * eft.MIB}]
    rejected(bed, "xz-dictionary", UNXZ, lzma.compress(b"x", filters=large))


class Pipe(io.RawIOBase):
    """Can only be written: zipfile then writes data descriptors, as every streaming writer does."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def zipped(files, method=zipfile.ZIP_DEFLATED, piped=False, zip64=False):
    out = Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, data in files.items():
            with made.open(name, "w", force_zip64=zip64) as to:
                to.write(data)
    return bytes(out.data) if piped else out.getvalue()


def test_zip(bed):
    accepted(bed, "zip-stored", UNZIP, zipped({"a.csv": PLAIN}, zipfile.ZIP_STORED), PLAIN)
    for piped in (False, True):
        for zip64 in (False, True):
            packed = zipped({"a.csv": PLAIN}, piped=piped, zip64=zip64)
            accepted(bed, f"zip-{piped}-{zip64}", UNZIP, packed, PLAIN)
    files = {f"part-{n}.bin": noise(1000 + n) for n in range(300)} | {"data/größe.csv": PLAIN}
    route = 'stages:\n  - decompress: { codec: zip, entry: "data/größe.csv" }\n'
    accepted(bed, "zip-one-of-many", route, zipped(files), PLAIN)


def test_zip_program(bed):
    file = bed.file(PLAIN, ".csv")
    packed = subprocess.run(["zip", "-q", "-", "-j", file], capture_output=True, check=True).stdout
    accepted(bed, "zip-program", UNZIP, packed, PLAIN)


def test_zip_damaged(bed):
    packed = zipped({"a.csv": PLAIN})
    rejected(bed, "zip-garbage", UNZIP, packed + b"garbage")
    rejected(bed, "zip-truncated", UNZIP, packed[:-1])
    rejected(bed, "zip-bit", UNZIP, packed[:5000] + bytes([packed[5000] ^ 1]) + packed[5001:])
    rejected(bed, "zip-two", UNZIP, zipped({"a.csv": PLAIN, "b.csv": PLAIN}))
    rejected(bed, "zip-path", UNZIP, zipped({"../a.csv": PLAIN}))
    rejected(bed, "zip-nested", UNZIP, zipped({"a.zip": packed}))
    rejected(bed, "zip-bomb", UNZIP, zipped({"a.csv": bytes(200 * eft.MIB)}))
