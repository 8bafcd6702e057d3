"""How the cost of one object grows with its size: CPU, memory and requests of the worker from 1 MiB on.

The exponent is that of a power of the size through the medians, by least squares in logarithms, after what a process costs
before its first byte was taken off: 1 is linear. Sizes whose bytes cost less than that are shown, and not fitted.
"""

import math
import statistics

import eft
import measure

MIB, GIB = 1 << 20, 1 << 30
# Four times as much each.
STEP = 4
# What it costs to move a byte is what a process costs.
START = 1


def sizes(largest):
    """From 1 MiB to the largest, and that."""
    size = MIB
    while size < largest:
        yield size
        size *= STEP
    yield largest


def text(size):
    for unit, factor in {"GiB": GIB, "MiB": MIB}.items():
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def run_all(largest, runs):
    """CPU and memory of each run, by size, and the requests of one."""
    found = {size: [] for size in (START, *sizes(largest))}
    requests = {}
    with eft.server() as server:
        for number in range(runs):
            for size, used in found.items():
                source = f"s3://synthetic/g-{text(size)}"
                server.ask("/_reset", "POST")
                command = [str(eft.WORKER), "transfer", "--quiet", "--no-server-copy", source, f"s3://discard/growth-{number}-{size}"]
                one = measure.run([command], env=server.env)
                if any(one.codes):
                    raise SystemExit(f"{source}: exit codes {one.codes}")
                stats = server.ask("/_stats")
                if stats["bytes_in"] < size or stats["bytes_out"] < size:
                    raise SystemExit(f"{source}: it did not move the object: {stats}")
                used.append(one)
                requests[size] = sum(stats["counts"].values())
                print(f"  run {number + 1}: {text(size):>8} {one.cpu:8.2f} CPU-s {one.rss / MIB:5.0f} MiB {one.wall:8.2f} s", flush=True)
    return found, requests


def exponent(points):
    """The slope of a line through the logarithms of pairs of size and cost."""
    logs = [(math.log(size), math.log(cost)) for size, cost in points]
    x, y = (statistics.fmean(log[at] for log in logs) for at in (0, 1))
    return sum((one - x) * (other - y) for one, other in logs) / sum((one - x) ** 2 for one, _ in logs)


def table(found, requests):
    base = statistics.median(one.cpu for one in found[START])
    yield "| size | CPU-s (least – most) | CPU-s per GiB, less a start | peak RSS MiB | requests |"
    yield "|---|---|---|---|---|"
    points = []
    for size, runs in found.items():
        cpu, rss = (statistics.median(getattr(one, what) for one in runs) for what in ("cpu", "rss"))
        spread = f"{min(one.cpu for one in runs):.2f} – {max(one.cpu for one in runs):.2f}"
        of_bytes = f"{(cpu - base) * GIB / size:.2f}" if cpu > 2 * base else "–"
        yield f"| {text(size)} | {cpu:.2f} ({spread}) | {of_bytes} | {rss / MIB:.0f} | {requests[size]} |"
        if cpu > 2 * base:
            points.append((size, cpu - base))
    if len(points) < 3:
        raise SystemExit("fewer than three sizes cost more than a start: nothing to fit a growth to")
    least, most = (text(points[at][0]) for at in (0, -1))
    yield ""
    yield f"CPU grows with the power {exponent(points):.3f} of the size, fitted from {least} to {most}."
