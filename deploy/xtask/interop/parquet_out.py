"""The Parquet files the worker makes are read by PyArrow, and hold what Python reads in the same CSV."""

import csv
import datetime
import decimal
import io
import uuid

import pyarrow.parquet
from bed import same

import eft

NULLS = ("", "NA")
ROUTE = """
stages:
  - csv_to_parquet:
      header: true
      types: { id: integer, price: decimal, total: decimal, rate: float, paid: boolean, day: date, at: timestamp, key: uuid }
      decimals: { price: { precision: 9, scale: 2 }, total: { precision: 38, scale: 4 } }
      not_null: [id]
      null_values: ["", NA]
      compression: COMPRESSION
      row_group_rows: 1000
"""
EPOCH = datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc)


def rows(count):
    for n in range(count):
        yield {
            "id": str(n - 5),
            "name": ("", "NA", "a,b", 'say "hi"', "Zoë\n東京", "x" * (n % 300))[n % 6],
            "price": f"{n * 7 - 900}.{n % 100:02}",
            "total": "NA" if n % 11 == 0 else f"-{n}{'0' * 25}.{n % 10000:04}",
            "rate": f"{n}.5e-{n % 20}",
            "paid": ("true", "F", "1", "no", "")[n % 5],
            "day": (datetime.date(1, 1, 1) + datetime.timedelta(days=n * 700)).isoformat(),
            "at": (EPOCH + datetime.timedelta(days=n * 700, microseconds=n * 12_345_678)).isoformat(),
            "key": str(uuid.UUID(int=n << 60 | n)),
        }


def parsed(row):
    """What a row is in Python's own types."""
    read = {
        "id": int, "price": decimal.Decimal, "total": decimal.Decimal, "rate": float,
        "paid": lambda text: text.lower() in ("true", "1", "t", "yes", "y"),
        "day": datetime.date.fromisoformat, "at": datetime.datetime.fromisoformat, "key": uuid.UUID,
    }  # fmt: skip
    return {name: None if text in NULLS else read.get(name, str)(text) for name, text in row.items()}


def table(bed, key):
    file = pyarrow.parquet.ParquetFile(io.BytesIO(bed.get(key)))
    table = file.read().to_pylist()
    for row in table:
        row["key"] = row["key"] if isinstance(row["key"], (uuid.UUID, type(None))) else uuid.UUID(bytes=row["key"])
    return file, table


def test_every_type(bed):
    text = io.StringIO()
    content = list(rows(4_500))
    writer = csv.DictWriter(text, content[0].keys())
    writer.writeheader()
    writer.writerows(content)
    bed.put("parquet/in.csv", text.getvalue().encode())
    for compression in ("zstd", "snappy", "none"):
        key = f"parquet/{compression}.parquet"
        bed.transfer("parquet/in.csv", route=ROUTE.replace("COMPRESSION", compression), to=key)
        file, found = table(bed, key)
        assert file.metadata.num_row_groups == 5, file.metadata
        assert not file.schema_arrow.field("id").nullable and file.schema_arrow.field("name").nullable
        assert found == [parsed(row) for row in content], compression


def test_broken_values_are_refused_or_dropped(bed):
    bed.put("parquet/bad.csv", b"id,price\n1,2.50\n2,2.505\n3,x\n4,9999999.99\n")
    route = "stages:\n  - csv_to_parquet: { header: true, types: { price: decimal }, decimals: { price: { precision: 9, scale: 2 } }ON }\n"
    bed.transfer("parquet/bad.csv", route=route.replace("ON", ""), to="parquet/bad", code=eft.REJECTED)
    assert not bed.exists("parquet/bad")
    route = "limits: { max_errors: 2 }\n" + route.replace("ON", ", on_error: drop")
    receipt = bed.transfer("parquet/bad.csv", route=route, to="parquet/bad").receipt
    same("rejects", [reject["record"] for reject in receipt["rejects"]], [2, 3])
    found = pyarrow.parquet.read_table(io.BytesIO(bed.get("parquet/bad"))).to_pylist()
    assert found == [{"id": "1", "price": decimal.Decimal("2.50")}, {"id": "4", "price": decimal.Decimal("9999999.99")}], found
