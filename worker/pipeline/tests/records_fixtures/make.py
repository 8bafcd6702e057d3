#!/usr/bin/env python3
"""What other programs make of small files of records: head(1), tail(1), and Python's csv and decimal.

Writes one file of JSON lines for each stage beside it. Needs coreutils.
"""

import csv
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


def write(name, cases):
    lines = [json.dumps({"stage": stage, "input": data.hex(), "output": out.hex()}) for stage, data, out in cases]
    (HERE / name).write_text("".join(line + "\n" for line in lines))


def main():
    write("slices.jsonl", slices(random.Random(1)))


if __name__ == "__main__":
    main()
