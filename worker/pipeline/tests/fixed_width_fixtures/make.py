"""Write cases.jsonl: a check of a route, a file in hexadecimal, its records, and its broken ones as Python finds them.

A broken record is its number, its offset and the column, or null where the whole record is meant.
"""

import json
import pathlib
import random
from datetime import date
from decimal import Decimal, InvalidOperation

COLUMNS = [
    {"name": "account", "length": 8, "not_null": True},
    {"name": "booked", "length": 10, "type": "date"},
    {"name": "amount", "start": 21, "length": 10, "type": "decimal", "not_null": True},
    {"name": "pieces", "length": 4, "type": "integer"},
]
LENGTH = 40


def is_of(kind, text):
    try:
        if kind == "date":
            return date.fromisoformat(text).isoformat() == text
        if kind == "integer":
            return int(text) is not None and "_" not in text and " " not in text
        if kind == "decimal":
            return Decimal(text).is_finite() and "e" not in text.lower() and not text.endswith(".") and "_" not in text
    except (ValueError, InvalidOperation):
        return False
    return True


def field(rnd, column):
    kind, length = column.get("type", "text"), column["length"]
    good = {
        "date": lambda: f"20{rnd.randrange(10, 30)}-{rnd.randrange(1, 13):02}-{rnd.randrange(1, 29):02}",
        "integer": lambda: str(rnd.randrange(-99, 999)),
        "decimal": lambda: f"{rnd.randrange(-99999, 99999) / 100:.2f}",
        "text": lambda: f"K{rnd.randrange(10**6)}",
    }[kind]()
    if rnd.random() < 0.05:
        good = rnd.choice(["", "12x", "2026-02-30", "1.", "-", "1e3", "0012"])
    return good.rjust(length) if kind in ("integer", "decimal") else good.ljust(length)


def record(rnd):
    row = "".join(field(rnd, column).rjust(0) if "start" not in column else "  " + field(rnd, column) for column in COLUMNS)
    row = row.ljust(LENGTH, "~")
    if rnd.random() < 0.04:
        row = rnd.choice([row[:-3], row + "!!", "", row + "\r"])
    return row


def judge(rows):
    """Rows: a record's text and its offset."""
    broken = []
    for number, (offset, row) in enumerate(rows, 1):
        if len(row) != LENGTH:
            broken.append([number, offset, None])
            continue
        at = 0
        for column in COLUMNS:
            at = column.get("start", at + 1) - 1
            text = row[at : at + column["length"]].strip(" ")
            at += column["length"]
            if (not text and column.get("not_null")) or (text and not is_of(column.get("type", "text"), text)):
                broken.append([number, offset, column["name"]])
    return broken


here = pathlib.Path(__file__).parent
with open(here / "cases.jsonl", "w") as file:
    for seed, terminator in enumerate(["any", "lf", "crlf", "none"]):
        rnd = random.Random(seed)
        text, rows = "", []
        for number in range(80):
            row = record(rnd)
            if terminator == "none":
                row = row[:LENGTH].ljust(LENGTH, "~")
            if terminator == "crlf":
                row = row.rstrip("\r")
            end = {"any": rnd.choice(["\n", "\r\n"]), "lf": "\n", "crlf": "\r\n", "none": ""}[terminator]
            offset = len(text)
            text += row + (end if number < 79 or seed % 2 else "")
            # What stands before an LF is the line end's where both are.
            if terminator == "any" and end == "\n" and row.endswith("\r") and number < 79:
                row = row[:-1]
            rows.append((offset, row))
        check = {"record": LENGTH, "terminator": terminator, "columns": COLUMNS}
        case = {"fixed_width": check, "input": text.encode().hex(), "records": len(rows), "broken": judge(rows)}
        print(json.dumps(case), file=file)
