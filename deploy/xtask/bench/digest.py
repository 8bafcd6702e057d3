"""What a SHA-256 adds to a transfer, beside one pass of ring's SHA-256 over as many bytes of memory."""

import statistics
import tempfile

import eft
import measure

GIB = 1 << 30


def run_all(size, runs):
    """CPU seconds of each run, by program."""
    if size % eft.MIB:
        raise SystemExit("a size in whole MiB is needed: ring's pass is over so many")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as route, eft.server() as server:
        route.write("digests: [sha256]\n")
        route.flush()
        transfer = [eft.WORKER, "transfer", "--quiet", "--no-server-copy"]
        source = f"s3://synthetic/d-{size}"
        programs = {
            "`eft-worker transfer`": lambda to: [*transfer, source, to],
            "`eft-worker transfer`, with SHA-256": lambda to: [*transfer, "--route", route.name, source, to],
            "ring's SHA-256 alone": lambda to: [eft.BIN / "examples" / "sha256", size // eft.MIB],
        }
        found = {name: [] for name in programs}
        for number in range(runs):
            for name, command in programs.items():
                server.ask("/_reset", "POST")
                one = measure.run([[str(part) for part in command(f"s3://discard/{number}-{len(name)}")]], env=server.env)
                if any(one.codes):
                    raise SystemExit(f"{name}: exit codes {one.codes}")
                found[name].append(one.cpu)
                print(f"  run {number + 1}: {one.cpu:6.2f} CPU-s {one.wall:6.2f} s  {name}", flush=True)
    return size, found


def table(size, found):
    yield "| program | CPU-s per GiB (least – most) |"
    yield "|---|---|"
    for name, runs in found.items():
        least, median, most = (of(runs) * GIB / size for of in (min, statistics.median, max))
        yield f"| {name} | {median:.2f} ({least:.2f} – {most:.2f}) |"
    plain, digest, alone = (statistics.median(runs) for runs in found.values())
    yield ""
    yield f"SHA-256 adds {(digest - plain) * GIB / size:.2f} CPU-s a GiB: {(digest - plain) / alone:.2f} times ring's pass alone."
