#!/bin/sh
# Makes the fixtures beside it, with tools that share no code with the stages under test:
# CPython's zlib (flags.gz, levels.gz), bgzip of htslib (bgzip.gz) and the zstd command (*.zst).
# bzip2 (*.bz2) and xz (*.xz). They are committed; run this only to add one. Made with Python 3.11, bgzip 1.16, zstd
# 1.5.4, bzip2 1.0.8 and xz 5.4.1.
set -eu
cd "$(dirname "$0")"
python3 - <<'PY'
import gzip, struct, zlib

rows = "".join(f"{i},carrier-{i * 7919 % 13},{i * i % 1013}.{i % 10}\n" for i in range(9000))
plain = ("id,carrier,delay\n" + rows).encode()
open("large.csv", "wb").write(plain)
small = plain[:400]
open("small.csv", "wb").write(small)

def member(data, flags, extra=b"", name=b"", comment=b"", level=9):
    head = struct.pack("<4BLBB", 0x1F, 0x8B, 8, flags, 1234567890, 2, 3)
    if flags & 4: head += struct.pack("<H", len(extra)) + extra
    if flags & 8: head += name + b"\0"
    if flags & 16: head += comment + b"\0"
    if flags & 2: head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    return head + deflate.compress(data) + deflate.flush() + struct.pack("<LL", zlib.crc32(data), len(data))

open("flags.gz", "wb").write(member(small, 0x1F, b"AB\4\0\1\2\3\4", "näme.csv".encode("latin-1"), b"a comment"))
# Stored, fixed and dynamic blocks, each a member, and an empty one between them.
open("levels.gz", "wb").write(
    member(small, 0, level=0) + member(b"", 8, name=b"empty") + member(b"abc", 0) + gzip.compress(plain[400:900], 6, mtime=0))
PY
head -c 200000 large.csv | bgzip -c > bgzip.gz
zstd -q -f -19 small.csv -o single.zst                                  # content size, checksum, single segment
zstd -q -c -3 < small.csv > stream.zst                                  # no content size, a window
zstd -q -c --no-check < small.csv > unchecked.zst                       # no checksum
zstd -q -c -3 < large.csv > large.zst
zstd -q -c --long=24 < small.csv > long.zst                             # a window of 16 MiB
rm -rf samples && mkdir samples && split -l 20 large.csv samples/s
zstd -q -f --train samples/* --maxdict=1024 --dictID=77 -o dictionary && rm -r samples
zstd -q -c -D dictionary small.csv > dictionary.zst && rm dictionary
# Two levels and an empty stream between them.
(bzip2 -c -1 small.csv; bzip2 -c < /dev/null; bzip2 -c -9 small.csv) > levels.bz2
bzip2 -c -1 large.csv > large.bz2                                       # three blocks
# Every check there is, an empty stream, and padding between them and behind the last.
pad() { head -c "$1" /dev/zero; }
(xz -c -C none small.csv; xz -c -C crc32 small.csv; pad 4; xz -c -C crc64 < /dev/null; pad 12; xz -c -C sha256 small.csv; pad 8) > checks.xz
xz -c -9 --delta=dist=3 --lzma2=preset=9 large.csv > nine.xz            # another filter, the largest dictionary taken
xz -c --block-size=50000 large.csv > blocks.xz                          # several blocks
xz -c --x86 --lzma2=dict=96MiB small.csv > dictionary.xz                # a larger dictionary
