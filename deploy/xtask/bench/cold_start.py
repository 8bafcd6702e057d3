"""How long a Lambda function takes from its start to its first request for an event, against a runtime API on loopback.

The function and one that does nothing take turns, as everywhere: what the machine adds, it adds to both. What Lambda adds
before (it fetches and unpacks the program, and starts a virtual machine) is not in it.
"""

import os
import signal
import socket
import statistics
import time

import eft

NEXT = b"GET /2018-06-01/runtime/invocation/next "
# Longer than any start; a function that has not asked by then never will.
PATIENCE = 10
ARN = "arn:aws:{}:eu-west-1:123456789012:{}"


class Start:
    """One start: seconds to the first request, CPU seconds and the peak of memory until then."""

    def __init__(self, wall, used):
        self.wall, self.cpu, self.rss = wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def environment(port):
    """What Lambda sets, and what the router needs; no AWS answers, and none is asked before the first event."""
    return {
        **eft.environment("http://127.0.0.1:9"),
        "AWS_REGION": "eu-west-1",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": "router",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/router",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
        "EFT_INGEST_BUCKETS": "ingest=eft-ingest-eu",
        **{f"EFT_TABLE_{name}": f"eft-{name.lower()}" for name in ["JOBS", "KEYS", "RUNS", "CONFIG"]},
        "EFT_WORK_QUEUE": "https://sqs.eu-west-1.amazonaws.com/123456789012/work.fifo",
        "EFT_STATE_MACHINE": ARN.format("states", "stateMachine:eft"),
        **{f"EFT_TOPIC_{name}": ARN.format("sns", name.lower()) for name in ["EVENTS", "SUCCESS", "FAILURE"]},
    }


def start(program):
    """Starts a function, waits for its first request, and ends it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        env = environment(server.getsockname()[1])
        begun = time.perf_counter()
        child = os.posix_spawn(program, [str(program)], env)
        try:
            asking, _ = server.accept()
            with asking:
                asking.settimeout(PATIENCE)
                line = asking.recv(len(NEXT), socket.MSG_WAITALL)
                wall = time.perf_counter() - begun
        except TimeoutError:
            raise SystemExit(f"{program} did not ask for an event in {PATIENCE} s") from None
        finally:
            os.kill(child, signal.SIGKILL)
            _, _, used = os.wait4(child, 0)
    if line != NEXT:
        raise SystemExit(f"{program} asked for {line!r} and not for an event")
    return Start(wall, used)


def run_all(runs):
    programs = {"an empty handler": eft.BIN / "examples" / "empty", "`eft-router`": eft.BIN / "eft-router"}
    starts = {name: [] for name in programs}
    for program in programs.values():
        # Once for nothing: the file is read from the disk only then.
        start(program)
    for _ in range(runs):
        for name, program in programs.items():
            starts[name].append(start(program))
    return starts


def table(starts):
    base = statistics.median(one.wall for one in next(iter(starts.values())))
    yield "| function | ms to the first poll | least – most | ratio | CPU ms | peak RSS MiB |"
    yield "|---|---|---|---|---|---|"
    for name, runs in starts.items():
        walls = [one.wall * 1000 for one in runs]
        wall, cpu = statistics.median(walls), statistics.median(one.cpu * 1000 for one in runs)
        rss = statistics.median(one.rss for one in runs)
        yield f"| {name} | {wall:.1f} | {min(walls):.1f} – {max(walls):.1f} | {wall / base / 1000:.2f} | {cpu:.1f} | {rss:.1f} |"
