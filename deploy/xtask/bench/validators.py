"""What it costs to check records: the worker beside the fastest public validators and counters, on the same file, in turns.

All read a file of about 0.5 GB and write to nowhere (`/dev/null`). The worker also writes what it reads, keeps two
CRC-64/NVME and signs a receipt: a run without a stage shows what that is, and what it costs more is the stage's own. The
others check and deliver nothing, each on one thread. Rates are of seconds of CPU, as the worker has more threads than one.

A program that accepts a file with one broken record (a field too few, or where there are types one that is none, or a line that is no
JSON) is a counter, and no validator.
"""

import os
import pathlib
import statistics
import subprocess
import tempfile

import eft
import measure
import records

GB = 1e9
PEER = eft.HOME / "peers" / "release" / "check_records"
OURS, BARE = "`eft-worker transfer`", "`eft-worker transfer`, no stage"


def peer(title, how):
    return {title: [PEER, how]}


def works():
    """The checks: what it is, the route, the file, how a record is broken, and the programs beside it."""
    quick = {**peer("simd-csv 0.14", "simd-csv"), **peer("csv 1.4", "csv"), **peer("simd-csv 0.14, rows alone", "simd-csv-count")}
    return [
        ("validate.csv, header and types", records.TYPED, records.CSV, lambda line: b"2013x" + line[4:], {**records.CSV_TYPED, **quick}),
        ("validate.csv, header", records.HEADER, records.CSV, lambda line: line.replace(b",", b"", 1), {**records.CSV_HEADER, **quick, **records.CSV_COUNT}),
        ("validate.jsonl", records.JSON, records.JSONL, lambda line: line.replace(b":", b" ", 1), {**records.JSONL_READ, **peer("simd-json 0.19", "simd-json"), **peer("sonic-rs 0.5", "sonic-rs")}),
    ]  # fmt: skip


class Row:
    """A program on one file: whether it refuses a broken record, and its runs."""

    def __init__(self, title, size, refuses):
        self.title, self.size, self.refuses, self.runs = title, size, refuses, []

    def median(self, what):
        return statistics.median(getattr(run, what) for run in self.runs)

    def rate(self, less=0.0):
        return self.size / GB / (self.median("cpu") - less)


def run_all(runs, only):
    records.make()
    with tempfile.TemporaryDirectory() as folder:
        chosen = [work for work in works() if not only or any(part in work[0] for part in only)]
        return [(work[0], check(pathlib.Path(folder), runs, *work)) for work in chosen]


def check(folder, runs, what, text, path, how, rivals):
    route, bad = folder / "route.yaml", folder / "broken"
    route.write_text(text)
    records.broken(path, bad, how)
    worker = [eft.WORKER, "transfer", "--quiet"]
    programs = {
        OURS: lambda of: [*worker, "--route", route, of, "-"],
        BARE: lambda of: [*worker, of, "-"],
        **{title: lambda of, command=command: [*command, of] for title, command in rivals.items()},
    }
    env = {**os.environ, **eft.environment("http://127.0.0.1:9"), **records.ONE_THREAD}
    rows = {title: Row(title, path.stat().st_size, refuses(program(bad), env)) for title, program in programs.items()}
    if not rows[OURS].refuses:
        raise SystemExit(f"{what}: the worker accepts a broken record")
    for number in range(runs):
        for title, program in programs.items():
            usage = measure.run([[str(part) for part in program(path)]], env=env)
            if any(usage.codes):
                raise SystemExit(f"{what}: {title} exits with {usage.codes}")
            rows[title].runs.append(usage)
            print(f"  run {number + 1}: {usage.cpu:6.2f} CPU-s {usage.rss / eft.MIB:6.0f} MiB {usage.wall:6.2f} s  {what}: {title}", flush=True)
    return rows


def refuses(command, env):
    done = subprocess.run([str(part) for part in command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode != 0


def table(results):
    yield "| check | program | refuses a broken record | GB per CPU-s (least – most) | wall s | peak RSS MiB |"
    yield "|---|---|---|---|---|---|"
    for what, rows in results:
        for row in rows.values():
            rates = sorted(row.size / GB / run.cpu for run in row.runs)
            yield (
                f"| {what} | {row.title} | {'yes' if row.refuses else 'no'} | {row.rate():.2f} ({rates[0]:.2f} – {rates[-1]:.2f}) "
                f"| {row.median('wall'):.2f} | {row.median('rss') / eft.MIB:.0f} |"
            )
    yield ""
    yield "| check | GB per CPU-s | of the stage alone | the fastest validator | ratio | the stage's | the fastest counter | ratio | the stage's | ≥ 0.8 of each | ≥ 1 GB/s |"
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for what, rows in results:
        yield verdict(what, rows)


def verdict(what, rows):
    """Beside the fastest of each kind; the goal counts the whole worker, and so does its verdict here."""
    ours = rows[OURS].rate()
    # Lost in the spread where a stage costs next to nothing.
    own = rows[OURS].rate(less=rows[BARE].median("cpu")) if rows[OURS].median("cpu") > rows[BARE].median("cpu") else float("inf")
    cells, held = [], []
    for kind in (True, False):
        beside = [row for row in rows.values() if row.title not in (OURS, BARE) and row.refuses is kind]
        if beside:
            best = max(beside, key=Row.rate)
            cells += [f"{best.title}: {best.rate():.2f}", f"{ours / best.rate():.2f}", f"{own / best.rate():.2f}"]
            held.append(said(ours >= 0.8 * best.rate()))
        else:
            cells += ["–"] * 3
    return f"| {what} | {ours:.2f} | {own:.2f} | {' | '.join(cells)} | {', '.join(held)} | {said(ours >= 1)} |"


def said(holds):
    return "yes" if holds else "**no**"
