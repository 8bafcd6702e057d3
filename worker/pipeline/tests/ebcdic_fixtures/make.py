"""Write pages.txt and cases.jsonl: EBCDIC files as a mainframe would write them, and their texts, all by Python.

pages.txt: a code page and its 256 characters in hexadecimal. cp1047, which Python has not, is from `iconv`; so is BC of
cp273 (see make_tables.py).
cases.jsonl: a stage of a route, the input in hexadecimal, the output.
"""

import csv
import io
import json
import pathlib
import random
import struct
import subprocess
from decimal import Decimal, getcontext

here = pathlib.Path(__file__).parent
getcontext().prec = 40  # the longest number has 31 digits
EVERY = bytes(range(256))


def iconv(page):
    made = subprocess.run(["iconv", "-f", page, "-t", "UTF-16BE"], input=EVERY, capture_output=True, check=True)
    return made.stdout.decode("utf-16-be")


PAGES = {page: EVERY.decode(page) for page in ["cp037", "cp500", "cp1140"]}
PAGES["cp273"] = EVERY.decode("cp273").replace("\u203e", "\u00af")
PAGES["cp1047"] = iconv("IBM1047")
with open(here / "pages.txt", "w") as file:
    for name, page in sorted(PAGES.items()):
        print(name, *(f"{ord(c):x}" for c in page), file=file)


def encode(text, page):
    return bytes(PAGES[page].index(c) for c in text)


def packed(value, length, scale, plus=0xC):
    digits = str(abs(int(value.scaleb(scale)))).zfill(2 * length - 1)
    return bytes.fromhex(digits + f"{0xD if value < 0 else plus:x}")


def zoned(value, length, scale, plus=0xF):
    digits = str(abs(int(value.scaleb(scale)))).zfill(length)
    return bytes([*(0xF0 | int(d) for d in digits[:-1]), (0xD if value < 0 else plus) << 4 | int(digits[-1])])


def binary(value, length, scale, signed):
    code = {1: "b", 2: "h", 4: "i", 8: "q"}[length]
    return struct.pack(">" + (code if signed else code.upper()), int(value.scaleb(scale)))


def number(rnd, digits, scale, signed=True):
    value = Decimal(rnd.choice([0, 1, 10**digits - 1, rnd.randrange(10**digits), rnd.randrange(100)])).scaleb(-scale)
    return -value if signed and rnd.random() < 0.4 else value


def text(rnd, page, length):
    alphabet = "ABCxyz 0189,\"'éßÜ^[]¬" + ("€" if page == "cp1140" else "")
    return "".join(rnd.choice(alphabet) for _ in range(rnd.randrange(length + 1)))


def frame(records, how):
    if how == "rdw":
        return b"".join(struct.pack(">HH", len(r) + 4, 0) + r for r in records)
    if how == "nel":
        ends = [b"\x15", b"\x25", b"\x0d\x25"]
        return b"".join(r + ends[i % 3] for i, r in enumerate(records))
    return b"".join(records)


def rows_case(seed, page, how, header, trim):
    """Records with every kind of field."""
    rnd = random.Random(seed)
    nel = how == "nel"
    layout = [
        {"name": "id", "length": 8, "type": "text"},
        {"name": "zoned", "length": 5, "type": "zoned", "scale": 2},
        {"name": "count", "start": 16, "length": 3, "type": "zoned", "signed": False},
        {"name": "a, \"b\"", "length": 10},
    ]
    if not nel:
        layout[1:1] = [{"name": "packed", "length": 4, "type": "packed", "scale": 2}]
        layout[3]["start"] = 20
        layout += [
            {"name": "half", "length": 2, "type": "binary"},
            {"name": "word", "length": 4, "type": "binary", "scale": 3, "signed": False},
            {"name": "long", "length": 8, "type": "binary"},
            {"name": "big", "length": 16, "type": "packed", "scale": 30},
        ]
    records, rows = [], []
    for _ in range(15):
        values, record = [], b""
        for field in layout:
            record = record.ljust(field.get("start", 1) - 1, encode(" ", page))
            kind, length, scale = field.get("type", "text"), field["length"], field.get("scale", 0)
            signed = field.get("signed", True)
            if kind == "text":
                value = text(rnd, page, length)
                record += encode(value.ljust(length), page)
                values.append(value.rstrip(" ") if trim else value.ljust(length))
                continue
            digits = {"packed": 2 * length - 1, "zoned": length, "binary": {2: 4, 4: 9, 8: 18}.get(length)}[kind]
            value = number(rnd, digits, scale, signed)
            if kind == "packed":
                record += packed(value, length, scale, rnd.choice([0xC, 0xF, 0xA, 0xE]))
            elif kind == "zoned":
                record += zoned(value, length, scale, rnd.choice([0xF, 0xC]))
            else:
                record += binary(value, length, scale, signed)
            values.append(f"{abs(value) if value == 0 else value:.{scale}f}")
        records.append(record)
        rows.append(values)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerows(([[f["name"] for f in layout]] if header else []) + rows)
    kind = {"fixed": len(records[0])} if how == "fixed" else how
    spec = {"from": page, "records": kind, "layout": layout, "header": header, "trim": trim}
    return spec, frame(records, how), out.getvalue()


def lines_case(seed, page, how, trim):
    """Records of text."""
    rnd = random.Random(seed)
    lines = [text(rnd, page, 40) for _ in range(15)]
    if how == "fixed":
        lines = [line.ljust(40) for line in lines]
    data = frame([encode(line, page) for line in lines], how)
    out = "".join((line.rstrip(" ") if trim else line) + "\n" for line in lines)
    return {"from": page, "records": {"fixed": 40} if how == "fixed" else how, "trim": trim}, data, out


with open(here / "cases.jsonl", "w") as file:
    seed = 0
    for page in sorted(PAGES):
        for how in ["fixed", "rdw", "nel"]:
            seed += 1
            flag = seed % 2 == 0
            for case in [rows_case(seed, page, how, not flag, flag), lines_case(seed, page, how, not flag)]:
                print(json.dumps(dict(zip(["ebcdic", "input", "output"], [case[0], case[1].hex(), case[2]]))), file=file)
