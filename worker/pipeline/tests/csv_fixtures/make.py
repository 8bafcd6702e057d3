"""Write expected.txt: file, records without the header, fields, as Python's csv module sees them."""

import csv
import pathlib

DIALECTS = {
    "mixed_ends.csv": {"delimiter": ";"},
    "escaped.csv": {"escapechar": "\\", "doublequote": False},
    "tabs.tsv": {"delimiter": "\t"},
}

here = pathlib.Path(__file__).parent
with open(here / "expected.txt", "w") as expected:
    for path in sorted([*here.glob("*.csv"), *here.glob("*.tsv")]):
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True, **DIALECTS.get(path.name, {})))
        (width,) = {len(row) for row in rows}
        expected.write(f"{path.name} {len(rows) - 1} {width}\n")
