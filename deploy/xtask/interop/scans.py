"""ClamAV's own daemon as the scanner: what it finds nobody gets, and what it did not look at is said.

Its signatures are downloads; here it has one of ours, of the EICAR test file, and asks nobody for others.
"""

import contextlib
import gzip
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from bed import noise, same, until
import pgp

import eft

MIB = eft.MIB
# In pieces: a scanner is not to find this file.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
FOUND = "found EFT.Eicar.UNOFFICIAL"
SCAN = "stages:\n  - scan: { max_bytes: 300MiB }\n"
LARGE = 12 * MIB
SETTINGS = {
    "Foreground": "yes",
    "AlertExceedsMax": "yes",
    "StreamMaxLength": "300M",
    "MaxFileSize": "300M",
    "MaxScanSize": "400M",
    "MaxThreads": "2",
    "SelfCheck": "0",
}
# A file of 160 MiB is not held.
MAX_RSS = 96 * MIB + eft.LARGER_CODE


class Clamd:
    """One that listens on loopback and on a Unix socket."""

    def __init__(self, folder, settings):
        self.folder = pathlib.Path(folder)
        for name in "database", "temporary":
            (self.folder / name).mkdir()
        # Any type of file, anywhere in it.
        (self.folder / "database" / "eft.ndb").write_text(f"EFT.Eicar:0:*:{EICAR.hex()}\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address, self.unix = f"127.0.0.1:{port}", f"unix:{self.folder}/socket"
        own = {
            "DatabaseDirectory": self.folder / "database",
            "TemporaryDirectory": self.folder / "temporary",
            "LocalSocket": self.folder / "socket",
            "TCPSocket": port,
            "TCPAddr": "127.0.0.1",
        }
        config, self.log = self.folder / "clamd.conf", self.folder / "log"
        config.write_text("".join(f"{name} {value}\n" for name, value in {**SETTINGS, **settings, **own}.items()))
        program = shutil.which("clamd") or "/usr/sbin/clamd"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([program, "--config-file", config], stdout=log, stderr=subprocess.STDOUT)
        try:
            until("clamd answers", self.answers)
        except AssertionError:
            self.kill()
            raise

    def answers(self):
        assert self.process.poll() is None, f"clamd has ended: {self.log.read_text(errors='replace')[-2000:]}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(self.address.rpartition(":")[2])), 5) as asked:
            asked.sendall(b"zPING\0")
            return asked.recv(5) == b"PONG\0"
        return False

    def taken(self):
        """Bytes of files it has been sent and not yet forgotten."""
        sizes = (path.stat().st_size for path in (self.folder / "temporary").rglob("*") if path.is_file())
        with contextlib.suppress(FileNotFoundError):
            return sum(sizes)
        return 0

    def kill(self):
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def clamd(**settings):
    # The path of a socket may not be long.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="clamd") as folder:
        daemon = Clamd(folder, settings)
        try:
            yield daemon
        finally:
            daemon.kill()


def infected(size, at):
    """So many bytes that are no virus, but for one."""
    data = noise(size)
    return data[:at] + EICAR + data[at + len(EICAR) :]


def scanned(result):
    (scan,) = [stage["scan"] for stage in result.receipt["stages"] if stage["name"] == "scan"]
    assert scan["scanner"].startswith("ClamAV "), scan
    return scan["bytes"], scan["skipped"]


def test_eicar_is_not_delivered(bed):
    """Alone, in one part, in several; over both sockets; to S3 and to a file."""
    with clamd() as daemon:
        for name, data in {
            "alone": EICAR,
            "start": infected(LARGE, 0),
            "middle": infected(LARGE, LARGE // 2),
            "end": infected(LARGE, LARGE - len(EICAR)),
        }.items():
            bed.put(f"scan/{name}", data)
            for address, to in (daemon.address, f"s3://out-files/scan/{name}"), (daemon.unix, bed.path()):
                line = ["--scanner", address, "--part-size=5MiB", f"s3://in-files/scan/{name}", to]
                result = bed.refused("scan.infected", *line, route=SCAN, says=["ClamAV ", FOUND])
                assert scanned(result) == (len(data), False), result.receipt["stages"]


def test_what_is_packed(bed):
    """Behind `decompress`, and as it came: clamd looks into gzip by itself."""
    plain = infected(8 * MIB, 5 * MIB)
    bed.put("scan/packed.gz", gzip.compress(plain, 1))
    line = ["s3://in-files/scan/packed.gz", "s3://out-files/scan/packed"]
    gunzip = "  - decompress: { codec: gzip }\n"
    with clamd() as daemon:
        for stages in gunzip + "  - scan\n", "  - scan\n" + gunzip, gunzip + "  - scan\n  - compress: { codec: zstd }\n":
            bed.refused("scan.infected", "--scanner", daemon.address, *line, route="stages:\n" + stages, says=[FOUND])


def test_clean_files_pass(bed):
    with clamd() as daemon:
        for name, size in ("empty", 0), ("small", 1000), ("large", 40 * MIB):
            data = noise(size)
            bed.put(f"scan/clean-{name}", data)
            result = bed.transfer(f"scan/clean-{name}", route=SCAN, env={**bed.server.env, "EFT_SCANNER": daemon.address})
            same(name, bed.get(f"scan/clean-{name}"), data)
            assert scanned(result) == (size, False), result.receipt["stages"]
            target = bed.path()
            bed.worker("--scanner", daemon.unix, bed.file(data), target, route=SCAN)
            same(name, target.read_bytes(), data)


def test_the_cap_is_a_policy(bed):
    data = infected(9 * MIB, 8 * MIB)
    source = bed.file(data)
    route = "stages:\n  - scan: { max_bytes: %d, larger: %s }\n"
    with clamd() as daemon:
        line = ["--scanner", daemon.address, source]
        says = [f"observed at least {5 * MIB + 1} bytes, the route allows {5 * MIB}"]
        bed.refused("limit.max_scan_bytes", *line, bed.path(), route=route % (5 * MIB, "refuse"), says=says)
        bed.refused("scan.infected", *line, bed.path(), route=route % (len(data), "refuse"), says=[FOUND])
        # Within the part that is scanned.
        bed.refused("scan.infected", *line, bed.path(), route=route % (8 * MIB + len(EICAR), "pass"), says=[FOUND])
        target = bed.path()
        result = bed.worker(*line, target, route=route % (5 * MIB, "pass"))
        same("passed", target.read_bytes(), data)
        assert scanned(result) == (5 * MIB, True), result.receipt["stages"]


def test_limits_of_clamd_are_no_clean_bill(bed):
    """Larger than clamd's own limits, which are Debian's here, with the virus behind them: never called clean."""
    data = infected(27 * MIB, 26 * MIB)
    source = bed.file(data)
    passing = SCAN.replace("300MiB", "300MiB, larger: pass")
    for settings, said in [
        ({"MaxFileSize": "25M", "MaxScanSize": "100M"}, "Heuristics.Limits.Exceeded.MaxFileSize"),
        ({"StreamMaxLength": "25M"}, "INSTREAM size limit exceeded. ERROR"),
    ]:
        with clamd(**settings) as daemon:
            line = ["--scanner", daemon.address, source]
            bed.refused("limit.max_scan_bytes", *line, bed.path(), route=SCAN, says=[said, "although the route lets it see 300MiB"])
            target = bed.path()
            result = bed.worker(*line, target, route=passing)
            same(said, target.read_bytes(), data)
            assert scanned(result) == (0, True), result.receipt["stages"]
    with clamd() as daemon:
        bed.refused("scan.infected", "--scanner", daemon.address, source, bed.path(), route=SCAN, says=[FOUND])


def test_a_scanner_that_is_down(bed):
    """Nothing moves; a run with a checkpoint starts over when it is back."""
    data = noise(LARGE)
    bed.put("scan/down", data)
    checkpoint = bed.path()
    with clamd() as daemon:
        line = ["--scanner", daemon.address, "--checkpoint", checkpoint, "--memory=16MiB", "--part-size=5MiB"]
        line += ["s3://in-files/scan/down", "s3://out-files/scan/down"]
        daemon.kill()
        says = [f"clamd at {daemon.address} cannot be reached", "what was done is kept"]
        bed.refused("scan.unavailable", *line, route=SCAN, says=says)
        bed.refused("scan.unavailable", "--scanner", daemon.unix, bed.file(data), bed.path(), route=SCAN, says=[daemon.unix])
    with clamd() as daemon:
        line[1] = daemon.address
        result = bed.worker(*line, route=SCAN)
        same("down", bed.get("scan/down"), data)
        assert scanned(result) == (LARGE, False) and not checkpoint.exists()


def test_a_scanner_that_is_killed(bed):
    """In the middle of a file: not delivered, whatever had passed."""
    data = noise(LARGE)
    for target in "s3://out-files/scan/killed", bed.path():
        with clamd() as daemon:

            def kill(process):
                process.stdin.write(data[: LARGE // 2])
                process.stdin.flush()
                until("clamd has taken some of it", lambda: daemon.taken() > MIB)
                daemon.kill()

            line = ["--scanner", daemon.address, "--memory=24MiB", "--part-size=5MiB", "-", target]
            bed.refused("scan.unavailable", *line, route=SCAN, stdin=data[LARGE // 2 :], during=kill, says=["bytes"])


def test_nothing_is_told_of_a_forged_message(bed):
    folder, target = pgp.keys(bed), bed.path()
    message = pgp.made("--compress-algo", "none", "--sign", "-u", "acme@", "--encrypt", "-r", "ours@", data=infected(MIB, 1000))
    with clamd() as daemon:
        flags = ["--keys", folder, "--scanner", daemon.address]
        route = pgp.DECRYPT + "  - scan\n"
        bed.refused("scan.infected", *flags, bed.file(message), target, route=route, says=[FOUND])
        forged = bed.file(pgp.flip(message, len(message) - 300))
        result = bed.refused("crypto.refused", *flags, forged, target, route=route, says=[pgp.UNPROVEN])
        assert "EFT.Eicar" not in str(result.receipt) + result.said, result.receipt
        route = pgp.DECRYPT + "  - scan: { max_bytes: 1KiB }\n"
        bed.refused("limit.max_scan_bytes", *flags, bed.file(message), target, route=route)
        bed.refused("crypto.refused", *flags, forged, target, route=route, says=[pgp.UNPROVEN])


def test_what_is_refused_before_a_byte_moves(bed):
    source = bed.file(b"never read")
    # The environment of who runs the tests is not to name one.
    env = {name: value for name, value in {**os.environ, **bed.server.env}.items() if name != "EFT_SCANNER"}
    bed.refused("plan.refused", source, bed.path(), route=SCAN, says=["--scanner ADDR or EFT_SCANNER"], receipt=False, env=env)
    says = ["what is scanned is clean only once its end was read, and standard output cannot be taken back"]
    bed.refused("plan.refused", "--scanner", "127.0.0.1:1", source, "-", route=SCAN, says=says, receipt=False)
    says = ["EFT_SCANNER: `nowhere` is not where clamd listens"]
    bed.refused("configuration", source, bed.path(), route=SCAN, says=says, receipt=False, env={**env, "EFT_SCANNER": "nowhere"})
    refused = bed.worker("--scanner", "nowhere", source, bed.path(), route=SCAN, code=eft.USAGE)
    assert "is not where clamd listens" in refused.said, str(refused)


def test_memory_does_not_grow(bed):
    source, target = bed.path(), bed.path()
    with source.open("wb") as file:
        for _ in range(10):
            file.write(noise(16 * MIB))
    with clamd() as daemon:
        line = ["--scanner", daemon.address, "--memory=32MiB", source, target]
        result = bed.worker(*line, route=SCAN, measured=True)
    assert result.usage["rss"] < MAX_RSS, result.usage
    assert scanned(result) == (160 * MIB, False)
    assert target.stat().st_size == 160 * MIB
    source.unlink()
    target.unlink()
