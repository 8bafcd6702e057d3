"""Fuzzes the targets of `loadtest/fuzz`, those first that were fuzzed least, and keeps account of it.

Every target takes turns of some minutes, one on each core. It starts from its corpus in `loadtest/fuzz/corpus` and from
what earlier turns reached, which is in `.eft/fuzz/TARGET`. The CPU seconds of all turns so far are in
`loadtest/fuzz/hours.json`, which is committed with the code. An input that fails ends the run: it stays in
`.eft/fuzz/failures`, and belongs into the corpus with its fix.
"""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import eft

ROOT = eft.OWN.parent.parent
FUZZ = ROOT / "loadtest" / "fuzz"
HOURS = FUZZ / "hours.json"
KEPT = eft.HOME / "fuzz"
FAILURES = KEPT / "failures"
# What one input may take: they are small, and every stage is to be quick with any.
SECONDS_AN_INPUT, MIB_AN_INPUT = 20, 2048


class Account:
    """CPU seconds and inputs tried of each target, on disk after each turn."""

    def __init__(self, targets):
        known = json.loads(HOURS.read_text()) if HOURS.exists() else {}
        self.of = {name: known.get(name, {"cpu_seconds": 0, "inputs": 0}) for name in targets}
        self.lock, self.running = threading.Lock(), set()

    def next(self, chosen):
        with self.lock:
            name = min((name for name in chosen if name not in self.running), key=lambda name: self.of[name]["cpu_seconds"], default=None)
            self.running.add(name)
            return name

    def add(self, name, cpu, inputs):
        with self.lock:
            self.running.discard(name)
            # As another run may have written it.
            self.of |= json.loads(HOURS.read_text()) if HOURS.exists() else {}
            self.of[name]["cpu_seconds"] += round(cpu)
            self.of[name]["inputs"] += inputs
            part = HOURS.with_name(HOURS.name + ".part")
            part.write_text(json.dumps(self.of, indent=2, sort_keys=True) + "\n")
            part.replace(HOURS)


def end(child):
    """Whoever waits for it takes what it used, so it is not waited for here."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)


def turn(name, seconds, children, stopped):
    """One turn: exit code, CPU seconds, inputs tried, and what it said last."""
    reached = KEPT / name
    reached.mkdir(parents=True, exist_ok=True)
    command = [eft.BIN / name, reached, FUZZ / "corpus" / name, f"-max_total_time={seconds}", f"-timeout={SECONDS_AN_INPUT}"]
    command += [f"-rss_limit_mb={MIB_AN_INPUT}", f"-artifact_prefix={FAILURES}/{name}-", "-print_final_stats=1", "-reload=0", "-verbosity=1"]
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace")
    children.add(child)
    if stopped:
        end(child)
    said = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    children.discard(child)
    tried = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    covered = re.findall(r"cov: (\d+)", said)
    return child.returncode, used.ru_utime + used.ru_stime, int(tried[1]) if tried else 0, int(covered[-1]) if covered else 0, said


def work(chosen, account, until, longest, children, stopped, failed):
    while not (stopped or failed) and (left := until - time.monotonic()) > 1:
        name = account.next(chosen)
        if name is None:
            return
        code, cpu, inputs, covered, said = turn(name, max(1, int(min(longest, left))), children, stopped)
        account.add(name, cpu, inputs)
        print(f"{name:<18} {cpu:6.0f} CPU-s {inputs:>10} inputs {covered:>6} edges, {account.of[name]['cpu_seconds'] / 3600:.2f} h so far", flush=True)
        if code != 0 and not stopped:
            failed.append(name)
            print(said[-4000:], f"\n{name}: exit code {code}; the input is in {FAILURES}", file=sys.stderr, flush=True)


def table(account):
    yield "| target | CPU hours | inputs |"
    yield "|---|---|---|"
    for name, one in sorted(account.of.items()):
        yield f"| {name} | {one['cpu_seconds'] / 3600:.2f} | {one['inputs']} |"


def main():
    eft.end_cleanly()
    parser = argparse.ArgumentParser(prog="cargo xtask fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="only these")
    parser.add_argument("--minutes", type=float, default=10, help="how long, all of it (10)")
    parser.add_argument("--turn", type=float, default=3, help="minutes of a turn at most (3)")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="targets at once (as many as there are cores)")
    args = parser.parse_args()
    known = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
    if unknown := sorted(set(args.targets) - set(known)):
        raise SystemExit(f"no target {', '.join(unknown)}; there are: {', '.join(known)}")
    FAILURES.mkdir(parents=True, exist_ok=True)
    chosen, account = args.targets or known, Account(known)
    until, children, stopped, failed = time.monotonic() + args.minutes * 60, set(), [], []
    with concurrent.futures.ThreadPoolExecutor(args.cores) as pool:
        turns = [pool.submit(work, chosen, account, until, args.turn * 60, children, stopped, failed) for _ in range(args.cores)]
        try:
            for one in turns:
                one.result()
        except BaseException as stop:
            # The pool waits for its threads, and they for their children.
            stopped.append(stop)
            for child in list(children):
                end(child)
            raise
    print("\n".join(table(account)))
    least = min(one["cpu_seconds"] for one in account.of.values())
    print(f"least: {least / 3600:.2f} h; all: {sum(one['cpu_seconds'] for one in account.of.values()) / 3600:.1f} h")
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
