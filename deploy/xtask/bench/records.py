"""Records for the benches, as CSV and as JSON Lines, and how DuckDB and Polars read them.

Data: the flights of 2013 (see `flights`) as often as makes about 0.5 GB, in `.eft/data/records`. As a program it makes
them, once: what makes them is big, and a script that measures must stay small (see `measure`).
"""

import json
import pathlib
import subprocess
import sys

import eft
import flights

TIMES, TIMES_JSONL = 17, 5
FOLDER = eft.HOME / "data" / "records"
CSV, ZSTD, JSONL = (FOLDER / name for name in ("flights.csv", "flights.csv.zst", "flights.jsonl"))
GZIP = flights.FOLDER / f"flights-{TIMES}.csv.gz"
ROUTE = (eft.OWN / "bench" / "flights.yaml").read_text()
# The route without what unpacks and packs: its check of every row's header and types.
TYPED = "".join(line for line in ROUTE.splitlines(keepends=True) if "codec:" not in line)
HEADER = "stages:\n  - validate: { csv: { header: true, delimiter: ',' } }\n"
JSON = "stages:\n  - validate: jsonl\n"
# One thread each. DuckDB's progress is drawn for nobody.
ONE_THREAD = {"POLARS_MAX_THREADS": "1"}
DUCKDB = "import duckdb, sys\none = duckdb.connect(config={'threads': 1})\none.execute('SET enable_progress_bar = false')\n"
POLARS = "import polars as pl, sys\nof = sys.stdin.buffer if sys.argv[1] == '/dev/stdin' else sys.argv[1]\n"
TEXTS = ("carrier", "tailnum", "origin", "dest")
COLUMNS = ("year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier flight tailnum "
           "origin dest air_time distance hour minute time_hour").split()  # fmt: skip


def duckdb(query):
    """Counts what the query, which asks for a file as `$1`, finds."""
    return [sys.executable, "-c", f"{DUCKDB}print(one.execute({query!r}, [sys.argv[1]]).fetchone())"]


def polars(frame, of):
    return [sys.executable, "-c", f"{POLARS}print(pl.{frame}.select({of}).collect(engine='streaming').row(0))"]


def _types():
    kinds = {"time_hour": "TIMESTAMPTZ", **dict.fromkeys(TEXTS, "VARCHAR")}
    return ", ".join(f"'{name}': '{kinds.get(name, 'BIGINT')}'" for name in COLUMNS)


# Programs that are given a file, or `/dev/stdin`, as their last argument. To count a column's values is what makes both read
# them all; Polars reads the times as text, which is the quicker way by four times.
CSV_TYPED = {
    "DuckDB": duckdb(f"SELECT count(COLUMNS(*)) FROM read_csv($1, auto_detect = false, header = true, delim = ',', quote = '\"', nullstr = 'NA', columns = {{{_types()}}})"),
    "Polars": polars("scan_csv(of, null_values=['NA'], infer_schema_length=1000)", "pl.all().null_count()"),
}  # fmt: skip
CSV_HEADER = {
    "DuckDB": duckdb("SELECT count(*) FROM read_csv($1, header = true, all_varchar = true, delim = ',')"),
    "Polars": polars("scan_csv(of, infer_schema=False)", "pl.all().null_count()"),
}
CSV_COUNT = {"Polars, rows alone": polars("scan_csv(of, infer_schema=False)", "pl.len()")}
JSONL_READ = {
    "DuckDB": duckdb("SELECT count(*) FROM read_ndjson_objects($1)"),
    "Polars": polars("scan_ndjson(of)", "pl.all().null_count()"),
}


def written(path, make):
    """A file of the data, made once, under its name only when it is whole."""
    if not path.exists():
        print(f"making {path.name} (once)", flush=True)
        part = path.with_name(path.name + ".part")
        with open(part, "wb") as file:
            make(file)
        part.replace(path)
    return path


def into(*command):
    return lambda file: subprocess.run([str(part) for part in command], stdout=file, check=True)


def make():
    """All of it, in a process of its own."""
    subprocess.run([sys.executable, __file__], check=True)


def csv_facts():
    """Size and SHA-256 of the CSV."""
    known = json.loads(GZIP.with_name(f"flights-{TIMES}.json").read_text())
    return known["size"], known["sha256"]


def _make():
    FOLDER.mkdir(parents=True, exist_ok=True)
    flights.Repeated(TIMES)
    written(CSV, into("gzip", "-dc", GZIP))
    written(ZSTD, into("zstd", "-q", "-3", "-c", CSV))

    def jsonl(file):
        # Numbers as numbers, `NA` as null, each key in each line.
        once = FOLDER / "once.jsonl"
        query = f"COPY (FROM read_csv('{flights.FOLDER / 'flights.csv'}', nullstr = 'NA')) TO '{once}' (FORMAT json)"
        subprocess.run([sys.executable, "-c", f"{DUCKDB}one.execute(sys.argv[1])", query], check=True)
        data = once.read_bytes()
        for _ in range(TIMES_JSONL):
            file.write(data)
        once.unlink()

    written(JSONL, jsonl)


def broken(path, to, how):
    """The first records of a file, of which one is broken by `how`."""
    with open(path, "rb") as file:
        lines = file.readlines(1 << 20)
    lines[len(lines) // 2] = how(lines[len(lines) // 2])
    pathlib.Path(to).write_bytes(b"".join(lines))


if __name__ == "__main__":
    _make()
