"""Bombs: small or plausible files that would take memory without end. Each is refused early, under 64 MiB resident,
with the limit it met and what was observed. (gzip: `refusals_input`.)"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib

import pgp

import eft

MIB, GIB = 1 << 20, 1 << 30
# What a refusal may take, code and libraries of the worker included.
RSS = 64 * MIB + eft.LARGER_CODE
FLAGS = ["--memory", "32MiB"]


def refused(bed, name, data, route, code, *says, flags=FLAGS, rss=RSS):
    bed.put(f"bombs/{name}", data)
    line = [*flags, f"s3://in-files/bombs/{name}", f"s3://discard/bombs/{name}"]
    result = bed.refused(code, *line, route=route, says=says, measured=True)
    assert result.usage["rss"] <= rss, f"{name}: {result.usage['rss'] / MIB:.0f} MiB resident"


def packed(unit, times):
    """Many times the same, in gzip: the file is small, what stages read is not."""
    return gzip.compress(unit, 9) * times


def unpack(*checks, limits="max_ratio: 5000"):
    stages = "".join(f"  - {check}\n" for check in ("decompress: { codec: gzip }", *checks))
    return f"limits: {{ {limits} }}\nstages:\n{stages}"


def test_zstd_window(bed):
    """A frame of 11 bytes that asks for 2 GiB: RFC 8878, 3.1.1.1.2; the exponent is 21, one raw block of a byte follows."""
    frame = bytes.fromhex("28b52ffd 00 a8 090000 78")
    refused(bed, "window.zst", frame, "stages:\n  - decompress: { codec: zstd }\n", "limit.max_window", "a window of 2147483648 bytes")


def test_zstd_ratio(bed):
    """Runs of 128 KiB, four bytes each: 1 GiB of 32 KiB, in one frame whose window is 128 KiB."""
    block = 128 << 10
    header = ((block << 3) | (1 << 1)).to_bytes(3, "little") + b"0"
    frame = bytes.fromhex("28b52ffd 00 38") + header * (GIB // block)
    route = "stages:\n  - decompress: { codec: zstd }\n"
    refused(bed, "ratio.zst", frame, route, "limit.max_ratio", "the route allows")


def test_json_depth(bed):
    for name, unit in {"arrays": b"[", "objects": b'{"a":'}.items():
        data = unit * (MIB // len(unit))
        refused(bed, f"{name}.jsonl", data, "stages:\n  - validate: jsonl\n", "limit.max_depth", "the route allows 64")


def test_json_line(bed):
    route = unpack("validate: jsonl")
    refused(bed, "line.jsonl.gz", gzip.compress(b'["') + packed(b"a" * 64 * MIB, 16), route, "limit.max_record_bytes", "1048577")


def test_xml_entities(bed):
    """The billion laughs need a DTD, and none is taken."""
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    laughs = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a0 "lol">{entities}]><a>&a9;</a>'.encode()
    refused(bed, "laughs.xml", laughs, "stages:\n  - validate: xml\n", "format.refused", "DTD")


def test_xml_depth(bed):
    refused(bed, "deep.xml", b"<a>" * MIB, "stages:\n  - validate: xml\n", "limit.max_depth", "the route allows 64")


def test_xml_names(bed):
    """An element of 64 MiB, and one with attributes without end."""
    route = unpack("validate: xml")
    refused(bed, "name.xml.gz", packed(b"<" + b"a" * 64 * MIB, 1), route, "limit.max_record_bytes", "the route allows")
    attributes = b"".join(b' a%d=""' % n for n in range(2 * MIB))
    refused(bed, "attributes.xml.gz", gzip.compress(b"<a" + attributes, 1), route, "limit.max_record_bytes", "the route allows")


def test_csv_columns(bed):
    """A million columns, quoted and not."""
    for name, unit in {"plain": b",", "quoted": b'"",'}.items():
        refused(bed, f"{name}.csv", unit * 1_000_000, "stages:\n  - validate: csv\n", "limit.max_fields", "the route allows")


def test_csv_quote_that_never_ends(bed):
    for stage in ("validate: csv", "csv_project: { header: true, columns: [a] }", "csv_to_jsonl: { header: true }", "head: { first: 2, records: csv }"):
        data = gzip.compress(b'a,b\n1,"') + packed(b"x\n" * 32 * MIB, 4)
        name = f"quote-{stage.split(':')[0]}-{len(stage)}.csv.gz"
        refused(bed, name, data, unpack(stage, limits="max_ratio: 5000, max_record_bytes: 65536"), "limit.max_record_bytes", "the route allows")


def test_edi_segment(bed):
    isa = b"ISA*00*          *00*          *ZZ*SENDER         *ZZ*RECEIVER       *260101*0101*U*00401*000000001*0*P*>~GS*"
    data = gzip.compress(isa) + packed(b"A" * 64 * MIB, 1)
    refused(bed, "segment.edi.gz", data, unpack("validate: { edi: { standard: x12 } }"), "limit.max_record_bytes", "the route allows")


def test_unique_keys(bed):
    """More keys than there is memory for."""
    rows = b"".join(b"%d\n" % row for row in range(100_000))
    route = "stages:\n  - validate: { unique: { memory: 1MiB } }\n"
    refused(bed, "keys.txt", rows, route, "limit.max_unique_keys", "16384")


def test_fixed_width_layouts(bed):
    """Records of the longest length there is: what is held is one record and no more."""
    route = unpack("validate: { fixed_width: { record: 1048576, terminator: none } }", limits="max_ratio: 5000, max_record_bytes: 1048576")
    bed.put("bombs/fixed.gz", packed(b"0" * 64 * MIB, 4))
    result = bed.worker(*FLAGS, "s3://in-files/bombs/fixed.gz", "s3://discard/bombs/fixed", route=route, measured=True)
    assert result.usage["rss"] <= RSS and result.code == eft.DONE, result.usage


def test_ebcdic_records(bed):
    """A descriptor word that announces more than there may be."""
    refused(bed, "rdw.ebcdic", b"\x7f\xff\x00\x00" + b"\xc1" * 100_000, "limits: { max_record_bytes: 1000 }\nstages:\n  - ebcdic: { from: cp037, records: rdw }\n", "limit.max_record_bytes", "32767")


def test_bzip2_and_xz_ratio(bed):
    """1 GiB of zeros in sixteen streams."""
    for codec, module in {"bzip2": bz2, "xz": lzma}.items():
        route = f"stages:\n  - decompress: {{ codec: {codec} }}\n"
        refused(bed, f"ratio.{codec}", module.compress(bytes(64 * MIB)) * 16, route, "limit.max_ratio", "the route allows", flags=["--memory", "96MiB"], rss=136 * MIB)


def test_xz_dictionary(bed):
    """A block that asks for a dictionary of 4 GiB less a byte; its header is sound (The .xz File Format, 3.1)."""
    data = bytearray(lzma.compress(b"x" * 1000, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 16}]))
    end = 12 + 4 * (data[12] + 1)
    assert data[14:16] == b"\x21\x01", "the filter is where it was"
    data[16] = 40
    data[end - 4 : end] = zlib.crc32(data[12 : end - 4]).to_bytes(4, "little")
    refused(bed, "dictionary.xz", bytes(data), "stages:\n  - decompress: { codec: xz }\n", "limit.max_window", "needs 4295033463 bytes", flags=["--memory", "96MiB"])


def test_zip(bed):
    """An entry of 1 GiB, known from the directory; and an archive in an archive."""
    route = "stages:\n  - decompress: { codec: zip }\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("zeros", "w", force_zip64=True) as entry:
        for _ in range(GIB // MIB):
            entry.write(bytes(MIB))
    refused(bed, "zeros.zip", packed.getvalue(), route, "limit.max_ratio", "the route allows")
    nested = io.BytesIO()
    with zipfile.ZipFile(nested, "w") as archive:
        archive.writestr("inner.zip", packed.getvalue())
    refused(bed, "nested.zip", nested.getvalue(), route, "archive.unsupported", "inner.zip")


def packet(tag, body):
    """RFC 9580, 4.2.1, with a length of four octets."""
    return bytes([0xC0 | tag, 0xFF]) + len(body).to_bytes(4, "big") + body


def exploding(algorithm):
    """A compressed packet of a literal one of 256 MiB."""
    times = 256
    literal = bytes([0xC0 | 11, 0xFF]) + (times * MIB + 6).to_bytes(4, "big") + b"b\0" + bytes(4)
    if algorithm == 3:
        packer = bz2.BZ2Compressor()
        return packet(8, b"\3" + packer.compress(literal) + b"".join(packer.compress(bytes(MIB)) for _ in range(times)) + packer.flush())
    # Raw, whose blocks can be told again: a checksum could not.
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, block = [packer.compress(data) + packer.flush(zlib.Z_FULL_FLUSH) for data in (literal, bytes(MIB))]
    return packet(8, b"\1" + first + block * times + packer.flush())


def nested(levels):
    """A literal packet, compressed so many times over."""
    data = packet(11, b"b\0" + bytes(4) + b"x")
    for _ in range(levels):
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        data = packet(8, b"\1" + packer.compress(data) + packer.flush())
    return data


def sealed(packets):
    """These packets in an encrypted message, which GnuPG makes of them as they are."""
    return pgp.made("--no-literal", "-z", "0", "--encrypt", "-r", "ours@", data=packets)


def refused_pgp(bed, name, message, code, *says, limits="max_ratio: 200", stage="pgp_decrypt: { keys: [ours], verify: none }"):
    flags = [*FLAGS, "--keys", pgp.keys(bed)]
    refused(bed, name, message, f"limits: {{ {limits} }}\nstages:\n  - {stage}\n", code, *says, flags=flags)


def test_openpgp_compressed(bed):
    """256 MiB of 256 KiB by deflate, of a few hundred bytes by bzip2: encrypted, and as `pgp_verify` reads it; by ratio and by size."""
    verify = "pgp_verify: { signers: [acme] }"
    for algorithm in (1, 3):
        packets = exploding(algorithm)
        message = sealed(packets)
        for name, data, stage in [("sealed", message, "pgp_decrypt: { keys: [ours], verify: none }"), ("open", packets, verify)]:
            refused_pgp(bed, f"ratio-{algorithm}-{name}.pgp", data, "limit.max_ratio", "observed ", "the route allows 200", stage=stage)
            size = "max_ratio: 1000000, max_output_bytes: 64MiB"
            refused_pgp(bed, f"size-{algorithm}-{name}.pgp", data, "limit.max_output_bytes", f"at least {64 * MIB + 1} bytes", limits=size, stage=stage)


def test_openpgp_nested(bed):
    for levels in (3, 1000):
        refused_pgp(bed, f"nested-{levels}.pgp", sealed(nested(levels)), "limit.max_depth", "observed 3 compressed packets within each other, at most 2")
    refused_pgp(bed, "nested.pgp", nested(1000), "limit.max_depth", "at most 2", stage="pgp_verify: { signers: [acme] }")


def test_openpgp_claims(bed):
    """Packets that say they are of 4 GiB and would be held, chunks longer than may be, packets without end: no limit of the
    route, for no message is like that. Nobody waits for 4 GiB that do not come."""
    huge, key = (0xFFFFFFFF).to_bytes(4, "big"), pgp.made("--encrypt", "-r", "ours@", data=b"x")[:399]
    refused_pgp(bed, "key.pgp", b"\xc1\xff" + huge + bytes(MIB), "format.corrupt", "a packet of type 1 has 4294967295 bytes, at most 16384")
    refused_pgp(bed, "name.pgp", b"\xcd\xfe" + bytes(MIB), "format.corrupt", "a packet of type 13 has no fixed length")
    refused_pgp(bed, "keys.pgp", key * 1000, "format.corrupt", "more than 256 packets")
    for size in (17, 56, 255):
        chunks = bytes([1, 9, 2, size]) + bytes(15 + 32 * MIB)
        refused_pgp(bed, f"chunks-{size}.pgp", key + packet(20, chunks), "format.corrupt", "OpenPGP")
    refused_pgp(bed, "literal.pgp", b"\xcb\xff" + huge + b"b\0" + bytes(4), "format.truncated", "ends within a packet", stage="pgp_verify: { signers: [acme] }")
    # Argon2 over 2 TiB, for a passphrase nobody looks for.
    stretched = packet(3, bytes([4, 9, 4]) + bytes(16) + bytes([1, 4, 31]))
    refused_pgp(bed, "argon2.pgp", stretched + packet(18, b"\1" + bytes(MIB)), "crypto.no_key", "to a passphrase and to no key")
