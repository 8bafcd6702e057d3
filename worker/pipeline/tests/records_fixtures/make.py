#!/usr/bin/env python3
"""What other programs make of small files of records: head(1), tail(1), and Python's csv and decimal.

Writes one file of JSON lines for each stage beside it. Needs coreutils.
"""

import csv
import decimal
import io
import json
import pathlib
import random
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FIELDS = ["", "a", "b c", "12", "x,y", 'say "hi"', "two\nlines", "two\r\nlines", ";", "'", "é"]


def table(pick, rows, delimiter, quotechar, end, last_end):
    """CSV as Python writes it, sometimes without the last line end."""
    text = []

    class Out:
        write = staticmethod(text.append)

    writer = csv.writer(Out, delimiter=delimiter, quotechar=quotechar, lineterminator=end)
    for _ in range(rows):
        writer.writerow([pick.choice(FIELDS) for _ in range(pick.randint(1, 4))])
    text = "".join(text)
    return (text if last_end else text.removesuffix(end)).encode()


def csv_records(data, delimiter, quotechar):
    """The bytes of each record: the reader says how many lines it took."""
    lines = split_keeping(data.decode())
    reader = csv.reader(iter(lines), delimiter=delimiter, quotechar=quotechar)
    records, taken = [], 0
    for _ in reader:
        records.append("".join(lines[taken : reader.line_num]).encode())
        taken = reader.line_num
    return records


def split_keeping(text):
    """Lines by line feeds only."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    return lines + [parts[-1]] if parts[-1] else lines


def piped(data, *line):
    return subprocess.run(line, input=data, capture_output=True, check=True).stdout


def slices(pick):
    for _ in range(60):
        delimiter, quotechar = pick.choice([(",", '"'), (";", "'"), ("|", '"')])
        end, last_end = pick.choice(["\n", "\r\n"]), pick.random() < 0.7
        data = table(pick, pick.randint(0, 9), delimiter, quotechar, end, last_end)
        first, last = pick.randint(0, 4), pick.randint(0, 4)
        # Lines: what coreutils say.
        if first:
            yield {"head": {"first": first}}, data, piped(data, "head", "-n", str(first))
        if first or last:
            tail = piped(data, "tail", "-n", f"+{first + 1}")
            yield {"drop": {"first": first, "last": last}}, data, piped(tail, "head", "-n", f"-{last}")
        # Records of CSV: what Python says.
        records = csv_records(data, delimiter, quotechar)
        dialect = {"records": "csv", "delimiter": delimiter, "quote": quotechar}
        if first:
            yield {"head": {"first": first, **dialect}}, data, b"".join(records[:first])
        if first or last:
            rest = records[first:]
            kept = rest[: max(0, len(rest) - last)]
            yield {"drop": {"first": first, "last": last, **dialect}}, data, b"".join(kept)


def trailers(pick):
    """Files with a header, amounts and a trailer, right or wrong; what is wrong is found by Python's decimal."""
    decimal.getcontext().prec = 60
    for _ in range(120):
        places, width = pick.randint(0, 4), pick.choice([2, 6, 20])
        amounts = [decimal.Decimal(pick.randint(-(10**width), 10**width)).scaleb(-pick.randint(0, places)) for _ in range(pick.randint(0, 6))]
        texts = [pick.choice(["", " "]) if pick.random() < 0.1 else pick.choice(["", "+"] if n >= 0 else [""]) + f"{n:f}" for n in amounts]
        total = sum((decimal.Decimal(text) for text in texts if text.strip()), decimal.Decimal(0))
        header, every = pick.random() < 0.5, pick.random() < 0.3
        says_count = len(texts) + (1 + header if every else 0) + pick.choice([0, 0, 0, 1, -1])
        says_sum = total + pick.choice([0, 0, 0, decimal.Decimal("0.01"), 1])
        text = []

        class Out:
            write = staticmethod(text.append)

        writer = csv.writer(Out, lineterminator=pick.choice(["\n", "\r\n"]))
        if header:
            writer.writerow(["id", "amount", "note"])
        for number, amount in enumerate(texts):
            writer.writerow([number, amount, pick.choice(["", "two\nlines", 'a "b"', "x,y"])])
        writer.writerow(["T", max(0, says_count), f"{says_sum:f}" + ("0" if "." in f"{says_sum:f}" else "")])
        column = "amount" if header else 2
        count = {"field": 2, "of": "all" if every else "data"}
        spec = {"records": "csv", "header": header, "count": count, "sum": {"column": column, "field": 3}}
        counted = len(texts) + (1 + header if every else 0)
        wrong = [name for name, same in [("count", max(0, says_count) == counted), ("sum", says_sum == total)] if not same]
        data = "".join(text)
        data = data if pick.random() < 0.7 else data.removesuffix("\n").removesuffix("\r")
        says = {"records": len(texts), "total": f"{total.normalize():f}", "wrong": wrong}
        yield {"validate": {"trailer": spec}}, data.encode(), says


def uniques(pick):
    """Files with a few keys that stand twice, and which records those are, found with a dict."""
    for _ in range(80):
        delimiter, quotechar = pick.choice([(",", '"'), (";", "'")])
        header, columns = pick.random() < 0.5, pick.choice([[], [1], [2], [2, 1]])
        data = table(pick, pick.randint(0, 12), delimiter, quotechar, pick.choice(["\n", "\r\n"]), pick.random() < 0.7)
        if header:
            data = delimiter.join(["id", "name", "x", "y"]).encode() + b"\n" + data
        first, broken, offset = {}, [], 0
        for number, record in enumerate(csv_records(data, delimiter, quotechar), start=0 if header else 1):
            text = record.decode().removesuffix("\n").removesuffix("\r")
            fields = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quotechar), [""]) or [""]
            if number:
                if any(column > len(fields) for column in columns):
                    broken.append([number, offset, None])
                else:
                    key = tuple(fields[column - 1] for column in columns) if columns else text
                    if key in first:
                        broken.append([number, offset, first[key]])
                    first.setdefault(key, number)
            offset += len(record)
        names = {1: "id", 2: "name"}
        spec = {"records": "csv", "delimiter": delimiter, "quote": quotechar, "header": header}
        if columns:
            spec["columns"] = [names[column] if header and pick.random() < 0.7 else column for column in columns]
        yield {"validate": {"unique": spec}}, data, {"broken": broken}


def write(name, cases):
    with open(HERE / name, "w") as out:
        for stage, data, expected in cases:
            expected = {"output": expected.hex()} if isinstance(expected, bytes) else expected
            out.write(json.dumps({"stage": stage, "input": data.hex(), **expected}) + "\n")


def main():
    write("slices.jsonl", slices(random.Random(1)))
    write("trailers.jsonl", trailers(random.Random(2)))
    write("uniques.jsonl", uniques(random.Random(3)))


if __name__ == "__main__":
    main()
