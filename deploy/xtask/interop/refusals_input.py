"""Bad input is refused: the code, the place in the file and the limit are said, and nothing stands at the destination."""

import functools
import gzip
import re
import struct
import zlib

import zstandard
from bed import noise, same, table

import eft

MIB, GIB = eft.MIB, 1 << 30
GUNZIP = "stages:\n  - decompress: { codec: gzip }\n"
UNZSTD = "stages:\n  - decompress: { codec: zstd }\n"
UTF8 = "stages:\n  - validate: utf8\n"
CSV = "stages:\n  - validate: { csv: { header: [id, name, day], types: { id: integer, day: date } } }\n"
SMALL_PARTS = ["--no-server-copy", "--part-size", "5MiB"]
# Ranges are as large as parts: with 5 MiB ones a chunk ends here.
EDGE = 5 * MIB
# A bomb must not take more, whatever it is a bomb of.
BOMB_RSS = 64 * MIB + eft.LARGER_CODE
BOMB_MEMORY = ["--memory", "16MiB"]


def refused(bed, name, data, code, *says, route=None, flags=SMALL_PARTS):
    """The object is refused, and the receipt says which."""
    key = f"refused/{name}"
    bed.put(key, data)
    source = f"s3://in-files/{key}"
    result = bed.refused(code, *flags, source, f"s3://out-files/{key}", route=route, says=says)
    assert result.receipt["source"]["uri"] == source, result.receipt["source"]
    return result


def reject(result, record, offset, column, *reasons):
    """The first reject of the report, which standard error must tell too."""
    first = result.receipt["rejects"][0]
    assert (first["record"], first["offset"], first.get("column")) == (record, offset, column), first
    place = f"record {record}" if record else "header"
    for words in [f"{place} at byte {offset}", *([f"column {column}"] if column else []), *reasons]:
        assert words in result.said, f"{words!r} is not said: {result}"
    assert all(words in first["reason"] for words in reasons), first


def accepted(bed, name, data, wanted, route=None, flags=SMALL_PARTS):
    key = f"accepted/{name}"
    bed.put(key, data)
    result = bed.transfer(key, route=route, flags=flags)
    same(name, bed.get(key), wanted)
    return result


def member(size, unit, level=9):
    """One gzip member of `size` times the one byte `unit`, without compressing all of it: a MiB, repeated."""
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    # After a full flush a block depends on nothing before it.
    piece = deflate.compress(unit * MIB) + deflate.flush(zlib.Z_FULL_FLUSH)
    crc, block = 0, unit * (16 * MIB)
    for _ in range(size // len(block)):
        crc = zlib.crc32(block, crc)
    head = struct.pack("<4BI2B", 0x1F, 0x8B, 8, 0, 0, 0, 0xFF)
    assert size % len(block) == 0
    return head + piece * (size // MIB) + deflate.flush() + struct.pack("<2I", crc, size & 0xFFFFFFFF)


@functools.cache
def bomb():
    """1 GiB of zeros in about 1 MiB."""
    packed = member(GIB, b"\0")
    assert len(packed) < 1.1 * MIB, len(packed)
    return packed


@functools.cache
def long_line():
    """One line of 1 GiB in about 1 MiB, with a line end."""
    return member(GIB, b"a") + gzip.compress(b"\n")


def peak(result, bound, what):
    used = result.usage["rss"]
    print(f"     {what}: peak {used / MIB:.1f} MiB of {bound / MIB:.0f} MiB allowed")
    assert used <= bound, f"{what}: {used:,} bytes resident, {bound:,} allowed"


def test_empty(bed):
    for name, route in [("identity", None), ("utf8", UTF8)]:
        accepted(bed, f"empty/{name}", b"", b"", route)
    refused(bed, "empty/gzip", b"", "format.truncated", "the file is empty", "gzip member", route=GUNZIP)
    refused(bed, "empty/zstd", b"", "format.truncated", "the file is empty", "zstd frame", route=UNZSTD)
    result = refused(bed, "empty/csv", b"", "validation", route=CSV)
    reject(result, 0, 0, None, "the file is empty", '["id", "name", "day"]')


def test_empty_where_the_route_refuses_it(bed):
    refused(bed, "empty/refused", b"", "source.empty", route="on_empty: reject\n")


def test_one_byte(bed):
    for name, route in [("identity", None), ("utf8", UTF8)]:
        accepted(bed, f"one/{name}", b"x", b"x", route)
    for name, route, magic in [("gzip", GUNZIP, b"\x1f"), ("zstd", UNZSTD, b"\x28")]:
        refused(bed, f"one/{name}-begun", magic, "format.truncated", "at byte 1", route=route)
        refused(bed, f"one/{name}-other", b"x", "format.corrupt", "(from byte 0)", route=route)
    refused(bed, "one/utf8", b"\xff", "validation", "not UTF-8 at byte 0", "(ff)", route=UTF8)
    reject(refused(bed, "one/csv", b"x", "validation", route=CSV), 0, 0, None, 'found ["x"]')


def test_truncated_gzip(bed):
    packed = gzip.compress(table(20_000), mtime=0)
    whole = len(packed)
    for at in (1, 2, 9, 10, 11, whole // 2, whole - 9, whole - 8, whole - 4, whole - 1):
        refused(bed, f"cut/{at}", packed[:at], "format.truncated", f"at byte {at}", "gzip member 1 (from byte 0)", route=GUNZIP)
    says = [f"gzip member 2 (from byte {whole})", f"at byte {whole + 100}"]
    refused(bed, "cut/second", packed + packed[:100], "format.truncated", *says, route=GUNZIP)
    # Larger than a part: something has been uploaded when the end is missed.
    large = gzip.compress(noise(12 * MIB), 1, mtime=0)[:-1]
    refused(bed, "cut/large", large, "format.truncated", f"at byte {len(large)}", route=GUNZIP)
    frame = zstandard.compress(table(20_000))[:-1]
    refused(bed, "cut/zstd", frame, "format.truncated", f"at byte {len(frame)}", "zstd frame 1 (from byte 0)", route=UNZSTD)


def test_trailing_garbage(bed):
    packed = gzip.compress(table(1000), mtime=0)
    says = f"7 bytes follow the end of gzip member 1, from byte {len(packed)}"
    refused(bed, "trailing/gzip", packed + b"garbage", "format.trailing", says, route=GUNZIP)
    says = f"512 zero bytes follow the end of gzip member 2, from byte {2 * len(packed)}"
    refused(bed, "trailing/zeros", packed * 2 + bytes(512), "format.trailing", says, route=GUNZIP)
    frame = zstandard.compress(table(1000))
    says = f"7 bytes follow the end of zstd frame 1, from byte {len(frame)}"
    refused(bed, "trailing/zstd", frame + b"garbage", "format.trailing", says, route=UNZSTD)


def test_damage_is_placed(bed):
    """In the middle of a compressed file of two members: the one that is damaged, where it begins, and what is wrong."""
    first, second = gzip.compress(table(1000), mtime=0), gzip.compress(table(200_000), mtime=0)
    for at in (20, 10_000, len(second) // 2):
        broken = first + second[:at] + bytes(64) + second[at + 64 :]
        said = refused(bed, f"damage/{at}", broken, "format.corrupt", f"gzip member 2 (from byte {len(first)})", route=GUNZIP).said
        assert "the deflate data is broken" in said or "CRC computed does not match" in said, said


def test_zstd_window(bed):
    for log in (24, 27):
        wanted = zstandard.ZstdCompressionParameters(window_log=log, write_content_size=0)
        packed = zstandard.ZstdCompressor(compression_params=wanted).compressobj()
        packed = packed.compress(table(1000)) + packed.flush()
        says = [f"a window of {1 << log} bytes", f"at most {8 << 20} are allowed", "from byte 0"]
        refused(bed, f"window/{log}", packed, "limit.max_window", *says, route=UNZSTD)
    wanted = zstandard.ZstdCompressionParameters(window_log=23, write_content_size=0)
    packed = zstandard.ZstdCompressor(compression_params=wanted).compressobj()
    packed = packed.compress(table(1000)) + packed.flush()
    accepted(bed, "window/23", packed, table(1000), UNZSTD)


def with_extra(plain, size):
    """A gzip member of exactly `size` bytes: an extra field fills what is missing."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = deflate.compress(plain) + deflate.flush()
    extra = size - len(body) - 10 - 2 - 8
    assert 0 <= extra <= 0xFFFF, extra
    head = struct.pack("<4BI2BH", 0x1F, 0x8B, 8, 4, 0, 0, 0xFF, extra) + bytes(extra)
    return head + body + struct.pack("<2I", zlib.crc32(plain), len(plain))


def test_ratio_is_exact(bed):
    ratio, size = 20, 150_000
    # What hardly compresses comes first: the ratio grows to the end, where it is looked at last.
    plain = noise(100_000).ljust(ratio * size, b"\0")
    route = f"limits: {{ max_ratio: {ratio} }}\n{GUNZIP}"
    accepted(bed, "ratio/exact", with_extra(plain, size), plain, route)
    says = [f"({len(plain)} bytes from {size - 1})", f"the route allows {ratio}"]
    refused(bed, "ratio/over", with_extra(plain, size - 1), "limit.max_ratio", *says, route=route)


def bombed(bed, name, limits, code, *says):
    bed.put("refused/bomb.gz", bomb())
    route = f"limits: {{ {limits} }}\n{GUNZIP}"
    line = [*BOMB_MEMORY, "s3://in-files/refused/bomb.gz", f"s3://discard/refused/{name}"]
    result = bed.refused(code, *line, route=route, says=says, measured=True)
    peak(result, BOMB_RSS, name)


def test_bomb(bed):
    bombed(bed, "bomb, ratio", "max_ratio: 200", "limit.max_ratio", "the route allows 200")
    bound = 900 * MIB
    says = [f"at least {bound + 1} bytes", f"the route allows {bound}"]
    bombed(bed, "bomb, output", f"max_ratio: 2000, max_output_bytes: {bound}", "limit.max_output_bytes", *says)


def test_bomb_that_the_route_allows(bed):
    bed.put("accepted/bomb.gz", bomb())
    line = [*BOMB_MEMORY, "s3://in-files/accepted/bomb.gz", "s3://discard/accepted/bomb"]
    result = bed.worker(*line, route=f"limits: {{ max_ratio: 2000 }}\n{GUNZIP}", measured=True)
    assert result.receipt["deliveries"][0]["size"] == GIB, result.receipt
    peak(result, BOMB_RSS, "1 GiB of zeros, delivered")




def line_route(longest, before=GUNZIP):
    return f"limits: {{ max_ratio: 2000, max_record_bytes: {longest} }}\n{before}  - validate: {{ csv: {{ columns: [text] }} }}\n"



def test_long_line(bed):
    bed.put("refused/line.gz", long_line())
    bed.put("refused/quoted-line.gz", gzip.compress(b'"') + long_line())
    for key, hint in [("line.gz", ""), ("quoted-line.gz", "inside the quote opened at byte 0")]:
        for size in (MIB, 64 * MIB):
            line = ["--memory", "32MiB", f"s3://in-files/refused/{key}", f"s3://discard/refused/{key}"]
            says = [f"{size + 1} bytes and more in record 1 at byte 0", f"the route allows {size}", hint]
            route = line_route(size)
            result = bed.refused("limit.max_record_bytes", *line, route=route, says=says, measured=True)
            peak(result, 72 * MIB, f"{key}, at most {size // MIB} MiB")


def test_long_line_that_the_route_allows(bed):
    bed.put("accepted/line.gz", long_line())
    line = ["--memory", "32MiB", "s3://in-files/accepted/line.gz"]
    route = line_route(GIB + 1)
    result = bed.worker(*line, "s3://discard/accepted/line", route=route, measured=True)
    assert result.receipt["deliveries"][0]["size"] == GIB + 1, result.receipt
    assert [stage["records"] for stage in result.receipt["stages"][1:]] == [1], result.receipt["stages"]
    peak(result, 72 * MIB, "a line of 1 GiB, delivered")


def test_limits(bed):
    data = table(1000)
    route = "limits: {{ max_{}_bytes: {} }}\n".format
    says = [f"observed {len(data)}", f"the route allows {len(data) - 1}"]
    refused(bed, "limits/input", data, "limit.max_input_bytes", *says, route=route("input", len(data) - 1))
    accepted(bed, "limits/input", data, data, route("input", len(data)))
    packed = gzip.compress(data)
    says = [f"at least {len(data)} bytes", f"the route allows {len(data) - 1}"]
    refused(bed, "limits/output", packed, "limit.max_output_bytes", *says, route=route("output", len(data) - 1) + GUNZIP)
    accepted(bed, "limits/output", packed, data, route("output", len(data)) + GUNZIP)
    line = b"a" * 99 + b"\n"
    accepted(bed, "limits/record", line * 3, line * 3, line_route(100, "stages:\n"))
    says = ["100 bytes and more in record 1 at byte 0", "the route allows 99"]
    refused(bed, "limits/record", line * 3, "limit.max_record_bytes", *says, route=line_route(99, "stages:\n"))
    many = b"id,name,day\n1,a,2026-01-01\n" + b"," * 10 + b"\n"
    says = ["4 fields and more in record 2 at byte 27", "the route allows 3"]
    refused(bed, "limits/fields", many, "limit.max_fields", *says, route="limits: { max_fields: 3 }\n" + CSV)


# The sequences of two, three and four bytes, cut after each of their bytes but the last.
CUTS = [(text.encode(), cut) for text in "é日😀" for cut in range(1, len(text.encode()))]


def test_utf8_across_chunks(bed):
    text = bytearray(b"x" * (len(CUTS) * EDGE + 1000))
    for number, (letter, cut) in enumerate(CUTS, 1):
        at = number * EDGE - cut
        text[at : at + len(letter)] = letter
    accepted(bed, "utf8/cut", bytes(text), bytes(text), UTF8)
    for letter, cut in CUTS:
        at = EDGE - cut
        broken = b"x" * at + letter[:-1] + b"x" * 1000
        says = [f"not UTF-8 at byte {at}", f"truncated sequence ({letter[:-1].hex(' ')})"]
        refused(bed, f"utf8/{len(letter)}-{cut}", broken, "validation", *says, route=UTF8)
    refused(bed, "utf8/end", b"x" * (EDGE - 1) + b"\xf0", "validation", f"byte {EDGE - 1}", "at the end of the file", route=UTF8)


TEXT = "text".ljust(24, "_")
HEAD = f"number,{TEXT}\n".encode()
SHEET = "stages:\n  - validate: { csv: { header: true, types: { number: integer } } }\n"
# Each line is 64 bytes and the header 32: a chunk ends in the middle of a line, 24 bytes into its text.
BEFORE = (EDGE - len(HEAD)) // 64
START = len(HEAD) + 64 * BEFORE


def sheet(line, after=100):
    """A table with this line across the edge of two chunks."""
    rows = b"".join(b"%07d,%s\n" % (row, b"t" * 55) for row in range(BEFORE))
    assert len(HEAD) == 32 and len(rows) == 64 * BEFORE and START == EDGE - 32
    return HEAD + rows + line + b"\n" + (b"%07d,%s\n" % (1, b"t" * 55)) * after


def test_utf8_of_a_table_across_chunks(bed):
    for letter, cut in CUTS:
        line = b"0000000," + b"t" * (24 - cut) + letter[:-1] + b"t" * 20
        result = refused(bed, f"utf8-csv/{len(letter)}-{cut}", sheet(line), "validation", route=SHEET)
        reject(result, BEFORE + 1, START, TEXT, f"not UTF-8 at byte {EDGE - cut}")


def test_quotes_across_chunks(bed):
    a = b"a" * 22
    good = {
        "open": b"1" * 18 + b"0" * 12 + b',"' + b'a\n,a""a"',
        "doubled": b'0000000,"' + a + b'""' + a + b'"',
        "closed": b'0000000,"' + a + b'"\n0000000,b',
        "comma": b'0000000,"' + a + b",," + a + b'"',
        "line-end": b'0000000,"' + a + b"\n,\r\n" + a + b'"',
    }
    for name, line in good.items():
        result = accepted(bed, f"quotes/{name}", sheet(line), sheet(line), SHEET.replace("integer", "decimal"))
        records = BEFORE + 101 + (name == "closed")
        assert result.receipt["stages"][0]["records"] == records, (name, result.receipt["stages"])
    for name, line, reason in [
        ("after-closing", b'0000000,"' + a + b'"x', f"text after the closing quote at byte {EDGE}"),
        ("in-unquoted", b"0000000," + b"a" * 24 + b'"', f"quote inside an unquoted field at byte {EDGE}"),
        ("unclosed", b'0000000,"' + a, f"quote opened at byte {START + 8} is not closed"),
    ]:
        result = refused(bed, f"quotes/{name}", sheet(line), "validation", route=SHEET)
        reject(result, BEFORE + 1, START, TEXT, reason)
    says = [f"in record {BEFORE + 1} at byte {START}", f"inside the quote opened at byte {START + 8}", f"the route allows {MIB}"]
    line = b'0000000,"' + a
    refused(bed, "quotes/never", sheet(line, 20_000), "limit.max_record_bytes", *says, route=SHEET)


def test_nul(bed):
    for name, route in [("identity", None), ("utf8", UTF8)]:
        accepted(bed, f"nul/{name}", b"a\0b\n" + bytes(1000), b"a\0b\n" + bytes(1000), route)
    begin = b"id,name,day\n1,a,2026-01-01\n"
    for name, field, at in [("plain", b"b\0b", 1), ("quoted", b'"b\0b"', 2), ("alone", b"\0", 0)]:
        data = begin + b"2," + field + b",2026-01-02\n"
        result = refused(bed, f"nul/{name}", data, "validation", route=CSV)
        reject(result, 2, len(begin), "name", f"NUL at byte {len(begin) + 2 + at}")
    # UTF-16 as Windows writes it.
    wide = refused(bed, "nul/utf-16", begin.decode().encode("utf-16"), "validation", route=CSV)
    reject(wide, 0, 0, "#1", "not UTF-8 at byte 0")


def test_wrong_header(bed):
    for name, head, *reasons in [
        ("swapped", b"id,day,name", 'expected ["id", "name", "day"], found ["id", "day", "name"]', "column 2"),
        ("missing", b"id,name", 'found ["id", "name"]', 'column 3: expected "day", found nothing'),
        ("surplus", b"id,name,day,x", 'column 4: expected nothing, found "x"'),
        ("case", b"ID,name,day", 'column 1: expected "id", found "ID"'),
        ("data", b"1,a,2026-01-01", 'column 1: expected "id", found "1"'),
        ("semicolons", b"id;name;day", 'found ["id;name;day"]'),
        ("blank", b"", "blank line where the header should be"),
    ]:
        result = refused(bed, f"header/{name}", head + b"\n1,a,2026-01-01\n", "validation", route=CSV)
        reject(result, 0, 0, None, *reasons)
    # No number of tolerated errors makes a header right.
    tolerant = "limits: { max_errors: 1000 }\n" + CSV
    reject(refused(bed, "header/tolerant", b"id\n", "validation", route=tolerant), 0, 0, None)


def test_wrong_types(bed):
    types = ["text", "integer", "decimal", "float", "boolean", "date", "timestamp", "uuid"]
    good = [b"x", b"1", b"1.5", b"1e3", b"true", b"2026-01-31", b"2026-01-31T12:00:00Z", b"123e4567-e89b-12d3-a456-426614174000"]
    bad = [None, b"1x", b"1,5", b"1e", b"maybe", b"2026-02-30", b"2026-01-31T25:00:00Z", b"123e4567"]
    rules = ", ".join(f"c_{name}: {name}" for name in types)
    route = f"stages:\n  - validate: {{ csv: {{ header: true, types: {{ {rules} }}, not_null: [c_integer] }} }}\n"
    begin = ",".join(f"c_{name}" for name in types).encode() + b"\n" + b",".join(good) + b"\n"
    accepted(bed, "types/good", begin, begin, route)
    for at, (name, value) in enumerate(zip(types, bad)):
        if value is None:
            continue
        line = b",".join([*good[:at], b'"' + value + b'"', *good[at + 1 :]])
        result = refused(bed, f"types/{name}", begin + line + b"\n", "validation", "the route allows 0", route=route)
        reject(result, 2, len(begin), f"c_{name}", value.decode())
    line = b",".join([good[0], b"", *good[2:]])
    result = refused(bed, "types/null", begin + line + b"\n", "validation", route=route)
    reject(result, 2, len(begin), "c_integer", "null")
    result = refused(bed, "types/width", begin + b"x,1\n", "validation", route=route)
    reject(result, 2, len(begin), None, "2 fields, expected 8")


def test_as_many_errors_as_the_route_allows(bed):
    begin = b"id,name,day\n1,a,2026-01-01\n"
    data = begin + b"x,a,2026-01-01\n2,b,2026-01-02\n3,c,today\n"
    two = "limits: { max_errors: 2 }\n" + CSV
    receipt = accepted(bed, "errors/two", data, data, two).receipt
    assert receipt["stages"][0]["errors"] == 2 and [row["record"] for row in receipt["rejects"]] == [2, 4], receipt
    result = refused(bed, "errors/three", data + b"y,d,2026-01-03\n", "validation", "3 records", "the route allows 2", route=two)
    reject(result, 2, len(begin), "id")
    assert [row["record"] for row in result.receipt["rejects"]] == [2, 4, 5], result.receipt["rejects"]
