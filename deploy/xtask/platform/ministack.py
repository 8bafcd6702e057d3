"""MiniStack as AWS on the loopback interface: `ministack.py -- COMMAND ...` runs a command beside it.

The command finds it at `EFT_TEST_ENDPOINT`, and so does every AWS SDK that it uses. MiniStack stays in the process group of whoever starts this, so that a
signal to the group ends all of it; and it is ended by its id when the command has ended, whatever happens.
"""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import eft

# It takes three seconds on an idle machine.
READY_WITHIN = 90
# Another program may take the port that was free a moment ago.
STARTS = 3
# Whose a request is that is signed with no key, such as one of the HTTP API with a token.
ACCOUNT = "111122223333"
LIBC = ctypes.CDLL(None, use_errno=True)
# How much a test does, where somebody asks for more than it does by itself.
SIZES = ("EFT_KILLS", "EFT_JOBS", "EFT_SEED")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_ready(endpoint):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{endpoint}/_ministack/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def end(process):
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def adopt_orphans():
    """Makes this process the parent of what MiniStack leaves behind (it runs Lambda functions as its children)."""
    pr_set_child_subreaper = 36  # linux/prctl.h
    if LIBC.prctl(pr_set_child_subreaper, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_with_parent():
    """For `preexec_fn`: a process that is started so does not outlive this one, however this one ends."""
    pr_set_pdeathsig = 1  # linux/prctl.h
    LIBC.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)


def end_orphans():
    """Ends every child that is left, by its id, and reaps it; a child of a child comes to us when that is reaped."""
    while True:
        for task in pathlib.Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text().split():
                os.kill(int(pid), signal.SIGKILL)  # Ours and not yet reaped: the id is nobody else's.
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def start(folder, log):
    """A process that answers, and its endpoint; none if it ended by itself."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    # It is a server here, not a client of itself.
    client = {name: value for name, value in eft.environment(endpoint).items() if not name.startswith("AWS_ENDPOINT")}
    env = {
        **client,
        # What it gives to the Lambda functions it runs.
        "AWS_ENDPOINT_URL": endpoint,
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "GATEWAY_PORT": str(port),
        "IOT_MTLS_ENABLED": "0",  # It would listen on every interface.
        # Of all SFTP servers; it is opened with the first of them.
        "SFTP_HOST": "127.0.0.1",
        "SFTP_PORT": str(free_port()),
        "LOG_LEVEL": "WARNING",
        "TMPDIR": str(folder),
        "S3_DATA_DIR": str(folder / "s3"),
    }
    process = subprocess.Popen(
        [sys.executable, "-I", eft.OWN / "platform/emulator.py"], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        preexec_fn=end_with_parent,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + READY_WITHIN
        while process.poll() is None:
            if is_ready(endpoint):
                return process, endpoint
            if time.monotonic() > deadline:
                raise SystemExit(f"MiniStack did not answer within {READY_WITHIN} s; see {log.name}")
            time.sleep(0.1)
    except BaseException:
        end(process)
        raise
    return None, endpoint


@contextlib.contextmanager
def ministack(log_path=eft.HOME / "ministack.log"):
    """Starts it on a free port; ends it, by its id, whatever happens."""
    adopt_orphans()
    with tempfile.TemporaryDirectory() as folder, log_path.open("w") as log:
        for _ in range(STARTS):
            process, endpoint = start(pathlib.Path(folder), log)
            if process:
                break
        else:
            raise SystemExit(f"MiniStack did not start: {log_path.read_text()[-2000:]}")
        try:
            yield endpoint
        finally:
            end(process)
            end_orphans()


def main():
    if len(sys.argv) < 3 or sys.argv[1] != "--":
        raise SystemExit("usage: ministack.py -- COMMAND ...")
    eft.end_cleanly()
    begun = time.monotonic()
    with ministack() as endpoint:
        print(f"MiniStack answers at {endpoint} after {time.monotonic() - begun:.1f} s", flush=True)
        sizes = {name: os.environ[name] for name in SIZES if name in os.environ}
        env = {**eft.environment(endpoint), **sizes, "EFT_TEST_ENDPOINT": endpoint}
        code = subprocess.run(sys.argv[2:], env=env, stdin=subprocess.DEVNULL, check=False).returncode
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
