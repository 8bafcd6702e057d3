"""How many round trips to S3 a small job takes: until its first byte comes out, and until it stands.

Every request waits for a while before it is answered. What a run takes longer than one without that wait, in such waits, is
the round trips that follow each other. The floor to the first byte is one: a GET of an object whose size and version
nobody has asked for. To stand it takes another, a PUT.
"""

import os
import statistics
import subprocess
import time

import eft

# Long beside what a small transfer takes, and its spread.
WAIT = 0.25
SIZE = 4096


def until_first_byte(server, _):
    """Seconds until a byte of the object is on standard output."""
    command = [str(eft.WORKER), "transfer", "--quiet", f"s3://synthetic/f-{SIZE}", "-"]
    begun = time.perf_counter()
    with subprocess.Popen(command, env=server.env, stdout=subprocess.PIPE) as child:
        first = os.read(child.stdout.fileno(), 1)
        took = time.perf_counter() - begun
        rest = child.stdout.read()
    if child.returncode != 0 or len(first + rest) != SIZE:
        raise SystemExit(f"exit code {child.returncode} after {len(first + rest)} bytes of {SIZE}")
    return took


def until_it_stands(server, number):
    """Seconds for the whole program, from S3 to a name that is free."""
    command = [str(eft.WORKER), "transfer", "--quiet", "--no-server-copy", f"s3://synthetic/f-{SIZE}", f"s3://discard/first-{number}"]
    begun = time.perf_counter()
    subprocess.run(command, env=server.env, check=True)
    return time.perf_counter() - begun


WORKS = {"the first byte out": (until_first_byte, 1), "the object stands": (until_it_stands, 2)}


def run_all(runs):
    """Seconds of each run by work and wait, and the requests of one."""
    found, requests = {}, {}
    with eft.server() as server:
        for number in range(runs):
            for wait in (0, WAIT):
                for name, (work, _) in WORKS.items():
                    server.ask("/_reset", "POST")
                    server.ask("/_faults", "POST", [{"kind": "latency", "ms": int(wait * 1000)}])
                    found.setdefault((name, wait), []).append(work(server, f"{number}-{wait}"))
                    requests[name] = ", ".join(f"{count} {op}" for op, count in server.ask("/_stats")["counts"].items() if count)
    return found, requests


def table(found, requests):
    yield "| until | ms without a wait | round trips | the floor | over it | requests |"
    yield "|---|---|---|---|---|---|"
    for name, (_, floor) in WORKS.items():
        quick, slow = (statistics.median(found[name, wait]) for wait in (0, WAIT))
        trips = (slow - quick) / WAIT
        yield f"| {name} | {quick * 1000:.0f} | {trips:.2f} | {floor} | {trips - floor:.2f} | {requests[name]} |"
