"""Each stage as a whole program beside the best program for just that, on the same bytes and cores, in turns.

Both read a file and write to nowhere (`/dev/null`); the worker also keeps CRC-64/NVME of what it reads and makes, and
signs a receipt. Data: the flights of 2013 (see `flights`), made into each format
by other programs, once, into `.eft/data/stages`.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import eft
import flights
import measure
import records
from records import into

TIMES = 4
FOLDER = eft.HOME / "data" / "stages"
# What each program of a rival runs in; all at once in one interpreter would count each other's memory.
PYTHON = [sys.executable, "-c"]
CSV_CHECK = "import csv,sys\nn=None\nfor row in csv.reader(open(sys.argv[1], newline='')):\n n = n or len(row)\n assert len(row) == n"
CSV_JSONL = "import csv,json,sys\nfor row in csv.DictReader(open(sys.argv[1], newline='')): sys.stdout.write(json.dumps(row) + '\\n')"
ARROW_CHECK = "import pyarrow.csv as c,sys\nfor batch in c.open_csv(sys.argv[1]): pass"
ARROW_PARQUET = """import pyarrow.csv as c, pyarrow.parquet as p, sys
reader = c.open_csv(sys.argv[1])
with p.ParquetWriter("/dev/null", reader.schema, compression="snappy") as writer:
    for batch in reader: writer.write_batch(batch)"""
# A folder of its own: the path of an agent's socket may not be long.
GNUPG = pathlib.Path("/tmp") / f"eft-bench-gnupg-{os.getpid()}"
GPG = ["gpg", "--homedir", GNUPG, "--batch", "--no-tty", "--quiet", "--yes", "--trust-model", "always"]
KEY = eft.OWN.parent.parent / "worker" / "pipeline" / "tests" / "pgp" / "acme.sec.asc"
# What is decrypted goes to a file: the worker writes it nowhere else, because only its end says that it is genuine.
FILE = FOLDER / "decrypted"
EXPAT = "import sys,xml.parsers.expat as e\ne.ParserCreate().ParseFile(open(sys.argv[1], 'rb'))"


def lines(command):
    """As a rival: a program that is given the file as its last argument."""
    return lambda path: [[*command, path]]


def shell(script):
    """As a rival: a program that reads the file from standard input."""
    return lambda path: [["sh", "-c", f"exec {script} < {path}"]]


def works():
    typed = "{ header: true, delimiter: ',' }"
    return [
        ("decompress (gzip)", "decompress: { codec: gzip }", "csv.gz", "gzip -dc", lines(["gzip", "-dc"])),
        ("decompress (gzip)", "decompress: { codec: gzip }", "csv.gz", "pigz -dc", lines(["pigz", "-dc"])),
        ("decompress (gzip)", "decompress: { codec: gzip }", "csv.gz", "igzip -dc", lines(["igzip", "-dc"])),
        ("decompress (zstd)", "decompress: { codec: zstd }", "csv.zst", "zstd -dc", lines(["zstd", "-q", "-dc"])),
        ("decompress (xz)", "decompress: { codec: xz }", "csv.xz", "xz -dc", lines(["xz", "-dc"])),
        ("decompress (bzip2)", "decompress: { codec: bzip2 }", "csv.bz2", "bzip2 -dc", lines(["bzip2", "-dc"])),
        ("compress (gzip 6)", "compress: { codec: gzip, level: 6 }", "csv", "gzip -6", lines(["gzip", "-6", "-c"])),
        ("compress (gzip 6)", "compress: { codec: gzip, level: 6 }", "csv", "pigz -6", lines(["pigz", "-6", "-c"])),
        ("compress (gzip 6)", "compress: { codec: gzip, level: 6 }", "csv", "igzip -3 (its most; packs less)", lines(["igzip", "-3", "-c"])),
        ("compress (zstd 3)", "compress: { codec: zstd, level: 3 }", "csv", "zstd -3 -T2", lines(["zstd", "-q", "-3", "-T2", "-c"])),
        ("compress (zstd 3)", "compress: { codec: zstd, level: 3 }", "csv", "zstd -3 -T0", lines(["zstd", "-q", "-3", "-T0", "-c"])),
        ("compress (xz 6)", "compress: { codec: xz, level: 6 }", "small.csv", "xz -6 -T2", lines(["xz", "-6", "-T2", "-c"])),
        ("compress (bzip2 9)", "compress: { codec: bzip2, level: 9 }", "small.csv", "bzip2 -9", lines(["bzip2", "-9", "-c"])),
        ("decompress.zip", "decompress: { codec: zip }", "csv.zip", "unzip -p", lines(["unzip", "-p"])),
        ("compress.zip (6)", "compress: { codec: zip, level: 6, entry: csv }", "csv", "zip -6", lines(["zip", "-q", "-6", "-"])),
        ("pgp_encrypt (AES-256, no compression)", "pgp_encrypt: { recipients: [acme], cipher: aes256, compression: none }", "csv", "gpg --encrypt -z 0", lines([*GPG, "--recipient", "acme@", "--cipher-algo", "AES256", "-z", "0", "--output", "-", "--encrypt"])),
        ("pgp_decrypt (the same message)", "pgp_decrypt: { keys: [acme], verify: none }", "csv.gpg", "gpg --decrypt", lines([*GPG, "--output", FILE, "--decrypt"])),
        ("validate.sidecar (sha256)", "validate: sidecar", "csv", "sha256sum", lines(["sha256sum"])),
        ("validate.sidecar (md5)", 'validate: { sidecar: { object: "{name}.md5" } }', "csv", "md5sum", lines(["md5sum"])),
        ("charset (CP1252)", "charset: { from: windows-1252 }", "cp1252.csv", "iconv -f CP1252", lines(["iconv", "-f", "CP1252", "-t", "UTF-8"])),
        ("validate.utf8", "validate: utf8", "utf8.csv", "iconv -f UTF-8", lines(["iconv", "-f", "UTF-8", "-t", "UTF-8"])),
        ("ebcdic (CP037, 80)", "ebcdic: { from: cp037, records: { fixed: 80 } }", "ebcdic", "dd conv=ascii,unblock", shell("dd conv=ascii,unblock cbs=80 bs=1M status=none")),
        ("newline", "newline: { to: lf }", "crlf.csv", "tr -d '\\r'", shell("tr -d '\\r'")),
        ("strip_bom", "strip_bom", "csv", "cat", lines(["cat"])),
        ("head (all records)", "head: { first: 1000000000 }", "csv", "head -n", lines(["head", "-n", "1000000000"])),
        ("drop (first and last)", "drop: { first: 1, last: 1 }", "csv", "sed '1d;$d'", lines(["sed", "1d;$d"])),
        ("validate.csv", f"validate: {{ csv: {typed} }}", "csv", "Python csv", lines([*PYTHON, CSV_CHECK])),
        ("validate.csv", f"validate: {{ csv: {typed} }}", "csv", "pyarrow open_csv", lines([*PYTHON, ARROW_CHECK])),
        ("csv_project (3 of 19)", "csv_project: { header: true, columns: [year, carrier, time_hour] }", "csv", "cut -d, (no quotes)", lines(["cut", "-d,", "-f1,10,19"])),
        ("csv_to_jsonl", "csv_to_jsonl: { header: true }", "csv", "Python csv, json", lines([*PYTHON, CSV_JSONL])),
        ("csv_to_parquet", "csv_to_parquet: { header: true }", "csv", "pyarrow", lines([*PYTHON, ARROW_PARQUET])),
        ("validate.jsonl", "validate: jsonl", "jsonl", "jq -n 'inputs|empty'", lines(["jq", "-n", "inputs|empty"])),
        ("validate.xml", "validate: xml", "xml", "expat (Python)", lines([*PYTHON, EXPAT])),
        ("validate.fixed_width (80)", "validate: { fixed_width: { record: 80 } }", "fixed", "awk", lines(["awk", "length != 80 { exit 1 }"])),
        ("validate.unique", "validate: { unique: { memory: 1GiB } }", "numbered.csv", "awk, a table", lines(["awk", "seen[$0]++ { exit 1 }"])),
        ("validate.trailer", "validate: { trailer: { records: csv, prefix: TRL, count: { field: 2 } } }", "trailer.csv", "awk", lines(["awk", "-F,", "$1 == \"TRL\" { if ($2 != NR - 1) exit 1 }"])),
    ]


def written(name, make):
    return records.written(FOLDER / name, make)


def make():
    """All data, each from the flights."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    data = flights.csv()
    header = data.index(b"\n") + 1

    def rows(times):
        yield data
        for _ in range(times - 1):
            yield memoryview(data)[header:]

    plain = written("csv", lambda file: [file.write(piece) for piece in rows(TIMES)])
    small = written("small.csv", lambda file: file.write(data))
    for suffix, command in {"gz": ["gzip", "-6"], "zst": ["zstd", "-q", "-3"], "xz": ["xz", "-3", "-T2"], "bz2": ["bzip2", "-9"]}.items():
        written(f"csv.{suffix}", into(*command, "-c", plain if suffix != "bz2" else small))
    written("csv.zip", into("sh", "-c", f"cd {FOLDER} && exec zip -q -6 - csv"))
    # The key is made anew by nobody, so the message of an earlier run will do.
    subprocess.run([*GPG, "--import", KEY], check=True, stderr=subprocess.DEVNULL)
    written("csv.gpg", into(*GPG, "--recipient", "acme@", "--cipher-algo", "AES256", "-z", "0", "--output", "-", "--encrypt", plain))
    # Beside it, where the stage looks.
    written("csv.sha256", into("sha256sum", plain))
    written("csv.md5", into("md5sum", plain))
    written("crlf.csv", into("sed", "s/$/\\r/", plain))
    # A letter beyond ASCII in every record: the carrier's, of which there is one in each.
    written("utf8.csv", into("sed", "s/,EWR,/,ÉWR,/; s/,JFK,/,JFÜ,/; s/,LGA,/,LGÅ,/", plain))
    written("cp1252.csv", into("iconv", "-f", "UTF-8", "-t", "CP1252", FOLDER / "utf8.csv"))
    written("fixed", into("awk", '{ printf "%-80.80s\\n", $0 }', plain))
    written("ebcdic", into("dd", f"if={FOLDER / 'fixed'}", "conv=ebcdic,block", "cbs=80", "bs=1M", "status=none"))
    written("jsonl", into(*PYTHON, CSV_JSONL, plain))
    written("numbered.csv", into("awk", '{ print NR "," $0 }', plain))
    written("trailer.csv", into("awk", '{ print } END { print "TRL," NR }', plain))
    element = 'BEGIN { FS = ","; print "<flights>" } { printf "<flight carrier=\\"%s\\"><from>%s</from><to>%s</to><at>%s</at></flight>\\n", $10, $13, $14, $19 } END { print "</flights>" }'
    written("xml", into("awk", element, plain))


@contextlib.contextmanager
def gnupg():
    """GnuPG's folder, and an end for the agent it starts."""
    GNUPG.mkdir(mode=0o700)
    try:
        yield
    finally:
        subprocess.run(["gpgconf", "--homedir", GNUPG, "--kill", "all"], check=False)
        shutil.rmtree(GNUPG, ignore_errors=True)


def run_all(runs, only):
    with gnupg():
        make()
        return measured(runs, only)


def measured(runs, only):
    chosen = [work for work in works() if not only or any(part in work[0] for part in only)]
    environment = eft.environment("http://127.0.0.1:9")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "acme.asc").write_bytes(KEY.read_bytes())
        for number, (stage, route, data, name, rival) in enumerate(chosen):
            path, text = FOLDER / data, pathlib.Path(folder) / f"{number}.yaml"
            text.write_text(f"limits: {{ max_ratio: 100000 }}\nstages:\n  - {route}\n")
            to = FILE if "pgp_decrypt" in route else "-"
            keys = ["--keys", folder] if "pgp" in route else []
            worker = [[str(part) for part in (eft.WORKER, "transfer", "--quiet", *keys, "--route", text, path, to)]]
            programs = {"worker": worker, name: [[str(part) for part in command] for command in rival(path)]}
            found = {title: [] for title in programs}
            for title in programs:
                if not shutil.which(programs[title][0][0]):
                    raise SystemExit(f"{stage}: the program {programs[title][0][0]} is needed beside it")
            for _ in range(runs):
                for title, program in programs.items():
                    FILE.unlink(missing_ok=True)
                    usage = measure.run(program, env=environment if title == "worker" else {**os.environ, "LC_ALL": "C.UTF-8"})
                    if any(usage.codes):
                        raise SystemExit(f"{stage}: {title} exits with {usage.codes}")
                    found[title].append(usage)
            results.append((stage, name, path.stat().st_size, *found.values()))
            print(row(*results[-1]), flush=True)
    return results


def median(runs, what):
    values = sorted(getattr(run, what) for run in runs)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def row(stage, name, size, ours, theirs):
    mine, rival = (size / eft.MIB / median(runs, "cpu") for runs in (ours, theirs))
    wall = median(theirs, "wall") / median(ours, "wall")
    return f"| {stage} | {mine:.0f} | {name.replace('|', chr(92) + '|')} | {rival:.0f} | {mine / rival:.2f} | {wall:.2f} | {median(ours, 'rss') / eft.MIB:.0f} |"


def table(results):
    yield "| stage | MiB per CPU-s | program | MiB per CPU-s | ratio | ratio of wall time | peak RSS MiB |"
    yield "|---|---|---|---|---|---|---|"
    for result in results:
        yield row(*result)
