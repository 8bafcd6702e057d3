"""Files of records: what the stages leave of them, and what they refuse, by file alone."""

ROUTE = """\
stages:
  - validate: { magic: { types: [text] } }
  - validate: { unique: { records: csv, header: true, columns: [id] } }
  - validate: { trailer: { records: csv, header: true, prefix: TRL, count: { field: 2 }, sum: { column: amount, field: 3 } } }
  - drop: { first: 1, last: 1, records: csv }
"""


def delivery(rows, count, total):
    lines = [f'{number},{number}.10,"two\nlines"\n' for number in range(rows)]
    return f"id,amount,note\n{''.join(lines)}TRL,{count},{total}\n".encode(), "".join(lines).encode()


def test_a_file_with_a_trailer(bed):
    """Larger than a chunk, so that records are cut: what is left is the data, byte for byte."""
    rows = 200_000
    data, kept = delivery(rows, rows, f"{rows * (rows - 1) // 2 + rows // 10}.00")
    target = bed.path(".csv")
    result = bed.worker(bed.file(data), target, route=ROUTE)
    assert target.read_bytes() == kept, "other records are left"
    records = {stage["name"]: stage.get("records") for stage in result.receipt["stages"]}
    # The trailer has a key as well.
    assert records["validate.trailer"] == rows and records["validate.unique"] == rows + 1, records


def test_files_that_are_not_as_they_say(bed):
    for data, code, *says in [
        (delivery(3, 4, "3.30")[0], "validation", "trailer: it says 4 records, the file has 3"),
        (delivery(3, 3, "3.31")[0], "validation", "column amount adds up to 3.31, it adds up to 3.3"),
        (b"id,amount\n1,1\n1,2\nTRL,2,3\n", "validation", "record 2 at byte 14", 'the key "1" is that of record 1'),
        (b"\x89PNG\r\n\x1a\n", "format.unexpected", "the file is png", "the route takes text"),
    ]:
        bed.refused(code, bed.file(data), bed.path(), route=ROUTE, says=says)


def test_the_first_records(bed):
    data, _ = delivery(100_000, 0, 0)
    for first, kept in [(1, data[: data.index(b"\n") + 1]), (3, b"".join(part + b"\n" for part in data.split(b"\n")[:5]))]:
        target = bed.path()
        bed.worker(bed.file(data), target, route=f"stages:\n  - head: {{ first: {first}, records: csv }}\n")
        assert target.read_bytes() == kept, first
