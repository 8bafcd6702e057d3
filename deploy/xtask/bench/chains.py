"""Chains from S3 to S3: the worker by a route, beside the pipelines of s5cmd and the best tool for just that, in turns.

Work: the flights as CSV and as JSON Lines (see `records`), packed or not, from and to the in-memory S3. Rates are of the text,
unpacked, whatever is read. Before anything is measured each program delivers once to where its bytes are kept, and what it
delivered must unpack to the text. DuckDB and Polars run on one thread and deliver nothing, which is to their favour: the
worker writes what it checks.
"""

import hashlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import eft
import measure
import records

GIB = 1 << 30
CHUNKS = ["--concurrency", "8", "--part-size", "16"]
OURS = "`eft-worker transfer`"
CHECKED_ONCE = "s3://out-files/checked"
GZIP, ZSTD, CSV, JSONL = (f"s3://in-files/{path.name}" for path in (records.GZIP, records.ZSTD, records.CSV, records.JSONL))
# As many as the worker packs on.
CORES = os.cpu_count()
UNGZIP, UNZSTD, ZSTD_3 = ["gzip", "-dc"], ["zstd", "-q", "-dc"], ["zstd", "-q", "-3", f"-T{CORES}", "-c"]


class Rival:
    """The middle of a pipe: what stands between `cat` and `pipe`, or after `cat` where it delivers nothing.

    `beside`: a program that is given a named pipe, `PIPE` in the middle, as its last argument.
    """

    def __init__(self, name, middle, delivers=True, beside=None):
        self.name, self.middle, self.delivers, self.beside = name, middle, delivers, beside


def tools(*middles):
    return [Rival(" \\| ".join(" ".join(part for part in command if part not in ("-q", "-c")) for command in middle), middle) for middle in middles]


def readers(programs):
    return [Rival(f"{name}, delivers nothing", [[*program, "/dev/stdin"]], delivers=False) for name, program in programs.items()]


def works():
    """The chains: name, route, source, what unpacks the result, and the rivals."""
    codec = "stages:\n  - {}: {{ codec: {}, level: {} }}\n"
    unpack = "stages:\n  - decompress: { codec: %s }\n"
    checked = Rival(f"gzip -dc \\| tee \\| zstd -3 -T{CORES}, DuckDB beside", [UNGZIP, ["tee", "PIPE"], ZSTD_3], beside=records.CSV_TYPED["DuckDB"])
    return [
        ("decompress gzip", unpack % "gzip", GZIP, None, tools([UNGZIP], [["pigz", "-dc"]], [["igzip", "-dc"]])),
        ("decompress zstd", unpack % "zstd", ZSTD, None, tools([[*UNZSTD, "-T0"]])),
        ("compress zstd -3", codec.format("compress", "zstd", 3), CSV, UNZSTD, tools([ZSTD_3])),
        ("compress gzip -6", codec.format("compress", "gzip", 6), CSV, UNGZIP, tools([["pigz", "-6", f"-p{CORES}", "-c"]])),
        ("gunzip, CSV with types, zstd -3", records.ROUTE, GZIP, UNZSTD, [*tools([UNGZIP, ZSTD_3], [["igzip", "-dc"], ZSTD_3]), checked]),
        ("CSV with types", records.TYPED, CSV, None, readers(records.CSV_TYPED)),
        ("JSON Lines", records.JSON, JSONL, None, readers(records.JSONL_READ)),
    ]  # fmt: skip


def cat(source):
    return [eft.TOOLS / "s5cmd", "cat", *CHUNKS, source]


class Row:
    """A program of a chain: how it is run to a destination, its runs, and the size of what it delivers."""

    def __init__(self, name, pipe, beside=None):
        self.name, self.pipe, self.beside, self.runs, self.delivered = name, pipe, beside, [], None

    def run(self, to, env):
        usage = measure.run([[str(part) for part in command] for command in self.pipe(to)], env=env, beside=self.beside)
        if any(usage.codes):
            raise SystemExit(f"{self.name}: exit codes {usage.codes}")
        return usage

    def median(self, what):
        return statistics.median(getattr(run, what) for run in self.runs)


class Chain:
    """A row of the goals: its programs, and the size and SHA-256 of its text."""

    def __init__(self, folder, name, route, source, unpack, rivals, text):
        self.name, self.unpack, (self.size, self.sha256) = name, unpack, text
        at, pipe = folder / f"{name}.yaml", folder / f"{name}.pipe"
        at.write_text(route)
        os.mkfifo(pipe)
        worker = [eft.WORKER, "transfer", "--quiet", "--route", at, source]
        self.ours, self.rivals = Row(OURS, lambda to: [[*worker, to]]), []
        for rival in rivals:
            middle = [[str(pipe) if part == "PIPE" else part for part in command] for command in rival.middle]
            last = (lambda to: [[eft.TOOLS / "s5cmd", "--log", "error", "pipe", *CHUNKS, to]]) if rival.delivers else (lambda to: [])
            beside = [*rival.beside, str(pipe)] if rival.beside else None
            row = Row(f"`s5cmd cat` \\| {rival.name}", lambda to, middle=middle, last=last: [cat(source), *middle, *last(to)], beside)
            row.delivers = rival.delivers
            self.rivals.append(row)
        self.ours.delivers = True
        self.rows = [self.ours, *self.rivals]

    def check(self, server):
        """Each delivers once, and what it delivered is the text."""
        for row in self.rows:
            row.run(CHECKED_ONCE, server.env)
            if row.delivers:
                row.delivered, digest = read(CHECKED_ONCE, self.unpack, server.env)
                if digest != self.sha256:
                    raise SystemExit(f"{self.name}: what {row.name} delivers is not the text")
                subprocess.run([str(eft.TOOLS / "s5cmd"), "--log", "error", "rm", CHECKED_ONCE], env=server.env, check=True)


def read(source, unpack, env):
    """The size of an object, and the SHA-256 of what it unpacks to."""
    digest = hashlib.sha256()
    with tempfile.TemporaryFile() as file:
        subprocess.run([str(part) for part in cat(source)], env=env, stdout=file, check=True)
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with subprocess.Popen(unpack or ["cat"], stdin=file, stdout=subprocess.PIPE) as tool:
            while piece := tool.stdout.read(eft.MIB):
                digest.update(piece)
    if tool.returncode:
        raise SystemExit(f"{source}: {unpack[0]} exits with {tool.returncode}")
    return size, digest.hexdigest()


def facts(path):
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(eft.MIB):
            digest.update(piece)
        return file.tell(), digest.hexdigest()


def run_all(runs, only):
    records.make()
    chosen = [work for work in works() if not only or any(part in work[0] for part in only)]
    csv, jsonl = records.csv_facts(), facts(records.JSONL)
    with tempfile.TemporaryDirectory() as folder, eft.server() as server:
        server.env.update(records.ONE_THREAD)
        for path in (records.GZIP, records.ZSTD, records.CSV, records.JSONL):
            subprocess.run([sys.executable, eft.OWN / "bench" / "put.py", server.endpoint, path, "in-files", path.name], check=True)
        chains = [Chain(pathlib.Path(folder), *work, jsonl if work[2] is JSONL else csv) for work in chosen]
        for chain in chains:
            chain.check(server)
            for number in range(runs):
                for at, row in enumerate(chain.rows):
                    server.ask("/_reset", "POST")
                    usage = row.run(f"s3://discard/{chains.index(chain)}-{number}-{at}", server.env)
                    row.runs.append(usage)
                    print(f"  run {number + 1}: {usage.cpu:6.2f} CPU-s {usage.rss / eft.MIB:6.0f} MiB {usage.wall:6.2f} s  {chain.name}: {row.name}", flush=True)
    return chains


def table(chains):
    yield "| chain | program | CPU-s per GiB of text (least – most) | peak RSS MiB | wall s (least – most) | MB delivered |"
    yield "|---|---|---|---|---|---|"
    for chain in chains:
        for row in chain.rows:
            cpus = sorted(run.cpu * GIB / chain.size for run in row.runs)
            walls = sorted(run.wall for run in row.runs)
            delivered = f"{row.delivered / 1e6:.0f}" if row.delivers else "–"
            yield (
                f"| {chain.name} | {row.name} | {row.median('cpu') * GIB / chain.size:.2f} ({cpus[0]:.2f} – {cpus[-1]:.2f}) "
                f"| {row.median('rss') / eft.MIB:.0f} | {row.median('wall'):.2f} ({walls[0]:.2f} – {walls[-1]:.2f}) | {delivered} |"
            )
    yield ""
    yield "| chain | throughput | beside | CPU | beside | RSS | beside | ≥ 0.9 in throughput | better in CPU | better in RSS |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for chain in chains:
        yield verdict(chain)


def verdict(chain):
    """Each ratio is to the rival that is best in just that; over 1 is the worker's advantage."""
    cells, ratios = [], []
    for what in ("wall", "cpu", "rss"):
        best = min(chain.rivals, key=lambda row: row.median(what))
        ratios.append(best.median(what) / chain.ours.median(what))
        cells.append(f"{ratios[-1]:.2f} | {best.name}")
    wall, cpu, rss = ratios
    held = " | ".join("yes" if holds else "**no**" for holds in (wall >= 0.9, cpu > 1, rss > 1))
    return f"| {chain.name} | {' | '.join(cells)} | {held} |"
