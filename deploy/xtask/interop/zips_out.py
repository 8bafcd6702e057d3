"""Archives the worker makes: what CPython's zipfile and `unzip` find in them, large ones too."""

import io
import os
import subprocess
import zipfile

from bed import noise, table
import eft

ZIP = "stages:\n  - compress: { codec: zip%s }\n"
GIB = 1 << 30


def opened(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    (info,) = archive.infolist()
    return info, archive.read(info)


def test_archives_of_any_content(bed):
    for name, data in {"table": table(60_000), "noise": noise(3 << 20), "empty": b"", "byte": b"a"}.items():
        for level in (1, 6, 9):
            path, target = bed.file(data), bed.path(f"-{name}.csv.zip")
            bed.worker(path, target, route="on_empty: accept\n" + ZIP % f", level: {level}")
            info, found = opened(target.read_bytes())
            assert found == data, f"{name}, level {level}"
            assert info.filename == target.name.removesuffix(".zip"), info
            assert (info.date_time, info.external_attr >> 16) == ((1980, 1, 1, 0, 0, 0), 0o100644), info
            subprocess.run(["unzip", "-tqq", target], check=True)
            unpacked = subprocess.run(["unzip", "-p", target], stdout=subprocess.PIPE, check=True).stdout
            assert unpacked == data
            # And back, by a reader that refuses what two programs could read differently.
            back = bed.path()
            bed.worker(target, back, route="on_empty: accept\nlimits: { max_ratio: 10000 }\nstages:\n  - decompress: { codec: zip }\n")
            assert back.read_bytes() == data


def test_names_and_places(bed):
    data = table(1_000)
    bed.put("zip/a.csv", data)
    result = bed.worker("s3://in-files/zip/a.csv", "s3://out-files/zip/ä b.csv.ZIP", route=ZIP % "")
    assert opened(bed.get("zip/ä b.csv.ZIP"))[0].filename == "ä b.csv"
    (stage,) = result.receipt["stages"]
    assert (stage["name"], stage["bytes_in"]) == ("compress.zip", len(data)), stage
    bed.worker("s3://in-files/zip/a.csv", "s3://out-files/zip/named", route=ZIP % ", entry: data/orders.csv")
    assert opened(bed.get("zip/named")) [0].filename == "data/orders.csv"
    piped = bed.worker("-", "-", route=ZIP % ", entry: a", stdin=data).out
    assert opened(piped)[1] == data
    source = bed.file(data)
    bed.refused("plan.refused", source, "-", route=ZIP % "", says=["say `entry`"], receipt=False)
    bed.refused("route.invalid", source, bed.path(), route=ZIP % ", entry: ../a", says=["leads out of its folder"], receipt=False)
    split = "stages:\n  - split: { after_records: 5 }\n" + (ZIP % "").removeprefix("stages:\n")
    bed.refused("route.invalid", source, bed.path("-{n}"), route=split, says=["makes one archive"], receipt=False)


def test_more_than_four_gib(bed):
    """The content is larger than a classic archive can say; the archive is small, being of zeros."""
    source, target = bed.path(), bed.path(".zip")
    with open(source, "wb") as file:
        file.truncate(4 * GIB + 12_345)
    done = bed.worker(source, target, route=ZIP % ", level: 1", measured=True)
    assert done.receipt["source"]["size"] == 4 * GIB + 12_345
    (info,) = zipfile.ZipFile(target).infolist()
    assert info.file_size == 4 * GIB + 12_345 and info.extra[:2] == b"\x01\x00", info
    listed = subprocess.run(["unzip", "-l", target], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert str(4 * GIB + 12_345) in listed, listed
    subprocess.run(["unzip", "-tqq", target], check=True)
    os.unlink(source)
