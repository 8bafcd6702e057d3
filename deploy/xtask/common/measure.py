"""CPU time, peak memory and wall time of a program or of a pipe of programs.

    python measure.py RESULT.json PROGRAM ARGUMENT ...

As a program it serves scripts that are big themselves: what a process used before its exec counts in its peak, and
that is a copy of whoever started it.
"""

import json
import os
import subprocess
import sys
import time


class Usage:
    """What one run took. `rss` is in bytes and, of a pipe, the sum of the peaks of its programs."""

    def __init__(self, codes, cpu, rss, wall):
        self.codes, self.cpu, self.rss, self.wall = codes, cpu, rss, wall


def run(programs, env=None, capture=None, beside=None):
    """Runs programs with each one's output as the next one's input; waits for all, or until one fails. Children they waited
    for count.

    The last one's standard output goes to `capture` (a file object) or nowhere; error output is inherited. The program
    `beside` starts first and is in no pipe of ours; it counts as the others do.
    """
    begun = time.monotonic()
    children, source = [], subprocess.DEVNULL
    try:
        if beside:
            children.append(subprocess.Popen(beside, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        for number, program in enumerate(programs):
            last = number == len(programs) - 1
            sink = (capture or subprocess.DEVNULL) if last else subprocess.PIPE
            child = subprocess.Popen(program, env=env, stdin=source, stdout=sink)
            if source is not subprocess.DEVNULL:
                source.close()
            children.append(child)
            source = child.stdout
        codes, cpu, rss = [], 0.0, 0
        for child in children:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            codes.append(child.returncode)
            cpu += used.ru_utime + used.ru_stime
            rss += used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            if child.returncode:
                # The others may wait for it for ever.
                break
        return Usage(codes, cpu, rss, time.monotonic() - begun)
    finally:
        for child in children:
            if child.returncode is None:
                child.kill()
                child.wait()


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    used = run([sys.argv[2:]], capture=sys.stdout)
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump({"cpu": used.cpu, "rss": used.rss, "wall": used.wall}, file)
    code = used.codes[0]
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
