"""CPU, memory and time of the worker beside other programs, on the same bytes and against the same server.

Programs take turns, every figure is a median, and every program is compared with the first row's in the same run:
seconds alone say nothing on a shared machine.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys

import chains
import cold_start
import digest
import eft
import first_byte
import growth
import measure
import stages
import validators

GIB = 1 << 30
PEERS = eft.OWN / "bench" / "peers"
BUILT_PEERS = eft.HOME / "peers" / "release"
CHUNKS = ["--concurrency", "8", "--part-size", "16"]


class Program:
    """A row: a name, and the pipe of commands that moves the work to a fresh key of bucket `discard`."""

    def __init__(self, name, commands):
        self.name, self.commands, self.runs, self.requests = name, commands, [], 0

    def median(self, what):
        values = sorted(getattr(run, what) for run in self.runs)
        middle = len(values) // 2
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def identity(server, size):
    source = f"s3://synthetic/a-{size}"
    worker = [eft.WORKER, "transfer", "--quiet", "--no-server-copy"]
    relay = [eft.BIN / "examples" / "relay", "--endpoint", server.endpoint, "--part-size", "16MiB", "--in-flight", "8"]
    relay += ["--ca", server.ca] if server.ca else []
    aws = [eft.TOOLS / "aws", "s3", "cp", "--quiet"]
    rclone = ["copyto", "--disable", "copy", "--s3-chunk-size", "16Mi", "--s3-upload-concurrency", "8", "--retries", "1"]
    return [
        Program("raw relay (the limit)", lambda to: [[*relay, "--src", path(source), "--dst", path(to)]]),
        Program("`eft-worker transfer`", lambda to: [[*worker, source, to]]),
        Program("`eft-worker transfer --memory 32MiB`", lambda to: [[*worker, "--memory", "32MiB", source, to]]),
        Program("`object_store` 0.14, a GET into `WriteMultipart`", lambda to: [[BUILT_PEERS / "with_object_store", source, to]]),
        Program("`aws-sdk-s3`, each range collected", lambda to: [[BUILT_PEERS / "with_sdk", source, to]]),
        Program("`aws-sdk-s3-transfer-manager` 0.3, a download into an upload", lambda to: [[BUILT_PEERS / "with_transfer_manager", source, to]]),
        Program("rclone `copyto`", lambda to: [[eft.TOOLS / "rclone", *rclone, "eft:" + path(source), "eft:" + path(to)]]),
        Program("s5cmd `cat` into `pipe`", lambda to: [s5cmd_cat(source), s5cmd_pipe(to)]),
        Program("aws `s3 cp` into `s3 cp`", lambda to: [[*aws, source, "-"], [*aws, "-", to, "--expected-size", str(size_of(size))]]),
        Program("boto3, a body into a managed upload", lambda to: [[sys.executable, PEERS / "with_boto3.py", source, to]]),
        Program("AWS CRT, by way of a file in memory", lambda to: [[sys.executable, PEERS / "with_crt.py", source, to]]),
    ]


def flights(server):
    source = "s3://in-files/flights.csv.gz"
    worker = [eft.WORKER, "transfer", "--quiet", "--route", eft.OWN / "bench" / "flights.yaml"]
    middle = [["gzip", "-dc"], ["zstd", "-3", "-T2", "-q", "-c"]]
    for tool in ["gzip", "zstd"]:
        if not shutil.which(tool):
            raise SystemExit(f"the program {tool} is needed beside s5cmd for this work")
    return [
        Program("`s5cmd cat \\| gzip -dc \\| zstd -3 -T2 \\| s5cmd pipe` (checks nothing)", lambda to: [s5cmd_cat(source), *middle, s5cmd_pipe(to)]),
        Program("`eft-worker transfer`, every row checked", lambda to: [[*worker, source, to]]),
        Program("`eft-worker transfer --memory 32MiB`", lambda to: [[*worker, "--memory", "32MiB", source, to]]),
    ]  # fmt: skip


def s5cmd_cat(source):
    return [eft.TOOLS / "s5cmd", "cat", *CHUNKS, source]


def s5cmd_pipe(to):
    return [eft.TOOLS / "s5cmd", "--log", "error", "pipe", *CHUNKS, to]


def path(uri):
    return uri.removeprefix("s3://")


def put_flights(server, times):
    """Makes the data and puts it, in processes of their own; gives the CSV's size."""
    code = f"import flights; print(flights.Repeated({times}).path)"
    made = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")
    print(*made[:-2], sep="\n")
    file = pathlib.Path(made[-2])
    subprocess.run([sys.executable, eft.OWN / "bench" / "put.py", server.endpoint, file, "in-files", "flights.csv.gz"], check=True)
    return json.loads(file.with_name(file.name.replace(".csv.gz", ".json")).read_text())["size"]


def run_all(server, programs, runs):
    for number in range(runs):
        for program in programs:
            to = f"s3://discard/{number}-{programs.index(program)}"
            server.ask("/_reset", "POST")
            usage = measure.run([[str(part) for part in command] for command in program.commands(to)], env=server.env)
            if any(usage.codes):
                raise SystemExit(f"{program.name}: exit codes {usage.codes}")
            program.runs.append(usage)
            program.requests = sum(server.ask("/_stats")["counts"].values())
            print(f"  run {number + 1}: {usage.cpu:6.2f} CPU-s {usage.rss / eft.MIB:6.0f} MiB {usage.wall:6.2f} s  {program.name}", flush=True)


def table(programs, size):
    base = programs[0]
    yield f"| program | CPU-s per GiB | ratio | peak RSS MiB | wall s for {size / GIB:.2f} GiB | ratio | requests |"
    yield "|---|---|---|---|---|---|---|"
    for program in programs:
        cpu, wall = program.median("cpu"), program.median("wall")
        spread = f"{min(run.cpu for run in program.runs) * GIB / size:.2f} – {max(run.cpu for run in program.runs) * GIB / size:.2f}"
        yield (
            f"| {program.name} | {cpu * GIB / size:.2f} ({spread}) | {cpu / base.median('cpu'):.2f} "
            f"| {program.median('rss') / eft.MIB:.0f} | {wall:.2f} | {wall / base.median('wall'):.2f} | {program.requests} |"
        )


def main():
    eft.end_cleanly()
    parser = argparse.ArgumentParser(prog="cargo xtask bench", description=__doc__)
    parser.add_argument("--work", choices=["identity", "flights", "stages", "chains", "validators", "sha256", "growth", "first-byte", "cold-start"], default="identity")
    parser.add_argument("--tls", action="store_true", help="identity over TLS, with a certificate that is made for it")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], help="programs (stages) whose name holds this; the first program stays")
    parser.add_argument("--size", default="2GiB", help="of the object of identity and sha256, and of the largest of growth")
    args = parser.parse_args()
    if args.tls and args.work not in ("identity", "flights"):
        parser.error("--tls is of identity and of flights")
    works = {
        "chains": lambda: chains.table(chains.run_all(args.runs, args.only)),
        "cold-start": lambda: cold_start.table(cold_start.run_all(args.runs)),
        "first-byte": lambda: first_byte.table(*first_byte.run_all(args.runs)),
        "growth": lambda: growth.table(*growth.run_all(size_of(args.size), args.runs)),
        "sha256": lambda: digest.table(*digest.run_all(size_of(args.size), args.runs)),
        "stages": lambda: stages.table(stages.run_all(args.runs, args.only)),
        "validators": lambda: validators.table(validators.run_all(args.runs, args.only)),
    }
    lines = list(works.get(args.work, lambda: in_turns(args))())
    print(f"\n{args.work}{' over TLS' if args.tls else ''}: medians of {args.runs} runs in turns, {os.uname().machine}, {os.cpu_count()} cores")
    if args.work in ("chains", "flights", "identity", "validators"):
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"memory of a pipe is the sum of its programs' peaks; a peak below {own:.0f} MiB cannot be seen")
    print()
    print("\n".join(lines))


def in_turns(args):
    """The programs of identity or flights, against one server."""
    with (eft.server_over_tls if args.tls else eft.server)() as server:
        if args.work == "flights":
            size, programs = put_flights(server, 17), flights(server)
        else:
            size, programs = size_of(args.size), identity(server, args.size)
        programs = [one for one in programs if one is programs[0] or not args.only or any(part in one.name for part in args.only)]
        run_all(server, programs, args.runs)
    return table(programs, size)


def size_of(text):
    for unit, factor in {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": GIB, "TiB": GIB << 10}.items():
        if text.endswith(unit):
            return int(text.removesuffix(unit)) * factor
    raise SystemExit(f"{text}: write a size such as 2GiB")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
