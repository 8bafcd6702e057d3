"""Several files of a ZIP archive made by CPython: each to an object of its own, or all to one."""

import gzip
import io
import random
import subprocess
import zipfile

from bed import noise, table
import eft

ALL = 'stages:\n  - decompress: { codec: zip, entries: "**" }\n'
ROWS = table(40_000)


def packed(files, **options):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            stored = random.Random(name).random() < 0.3
            archive.writestr(name, content, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED, **options)
    return data.getvalue()


FILES = {
    "first-empty": b"",
    "data/": b"",
    "data/orders.csv": ROWS,
    "data/2026/é b.csv": table(3),
    "noise": noise(7 << 20),
    "data/none.csv": b"",
    "one": b"a",
    "last-empty": b"",
}
NAMES = [name for name in FILES if not name.endswith("/")]


def test_each_to_its_own_object(bed):
    bed.put("archives/all.zip", packed(FILES))
    result = bed.worker("s3://in-files/archives/all.zip", "s3://out-files/archives/{entry}", route=ALL)
    uris = [delivery["uri"] for delivery in result.receipt["deliveries"]]
    assert uris == [f"s3://out-files/archives/{name}" for name in NAMES], uris
    for name, delivery in zip(NAMES, result.receipt["deliveries"], strict=True):
        assert bed.get(f"archives/{name}") == FILES[name], name
        assert delivery["outcome"] == "DELIVERED" and delivery["size"] == len(FILES[name]), delivery
    (stage,) = result.receipt["stages"]
    assert (stage["name"], stage["bytes_out"]) == ("decompress.zip", sum(map(len, FILES.values()))), stage
    bed.worker(result.receipt_path, command="verify")
    again = bed.worker("s3://in-files/archives/all.zip", "s3://out-files/archives/{entry}", route=ALL)
    assert all(delivery["already_delivered"] for delivery in again.receipt["deliveries"]), again.receipt["deliveries"]
    assert not bed.s3.list_multipart_uploads(Bucket="out-files").get("Uploads")


def test_each_is_compressed_empty_ones_too(bed):
    bed.put("archives/all.zip", packed(FILES))
    route = ALL + "  - compress: { codec: gzip }\n"
    bed.worker("s3://in-files/archives/all.zip", "s3://out-files/archives/gz/{entry}.gz", route=route)
    for name in NAMES:
        assert gzip.decompress(bed.get(f"archives/gz/{name}.gz")) == FILES[name], name


def test_to_files_and_numbers(bed):
    source, out = bed.file(packed(FILES)), bed.path("-out")
    out.mkdir()
    bed.worker(source, f"{out}/{{entry}}", route=ALL)
    found = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert found == {name: FILES[name] for name in NAMES}, found.keys()
    bed.worker(source, f"{out}/numbered-{{n}}", route=ALL)
    for number, name in enumerate(NAMES, 1):
        assert (out / f"numbered-{number:05}").read_bytes() == FILES[name], name


def test_all_to_one_object(bed):
    bed.put("archives/one.zip", packed(FILES))
    for glob, names in {"**": NAMES, "data/**.csv": [name for name in NAMES if name.startswith("data/")], "*": [name for name in NAMES if "/" not in name]}.items():
        target = f"archives/joined-{len(names)}"
        result = bed.worker("s3://in-files/archives/one.zip", f"s3://out-files/{target}.gz", route=f'stages:\n  - decompress: {{ codec: zip, entries: "{glob}" }}\n  - compress: {{ codec: gzip }}\n')
        assert gzip.decompress(bed.get(f"{target}.gz")) == b"".join(FILES[name] for name in names), glob
        assert len(result.receipt["deliveries"]) == 1


def test_each_is_checked_and_made_by_itself(bed):
    files = {f"{number}.csv": table(1_000 + number) for number in range(5)}
    bed.put("archives/csv.zip", packed(files))
    route = ALL + "  - validate: { csv: { header: [id, name, day], types: { id: integer } } }\n  - compress: { codec: gzip }\n"
    result = bed.worker("s3://in-files/archives/csv.zip", "s3://out-files/archives/csv/{entry}.gz", route=route)
    for name, content in files.items():
        assert gzip.decompress(bed.get(f"archives/csv/{name}.gz")) == content, name
    checked = [stage["records"] for stage in result.receipt["stages"] if stage["name"] == "validate.csv"]
    assert checked == [sum(1_000 + number for number in range(5))], checked
    files["3.csv"] = files["3.csv"].replace(b"\n500,", b"\nfive hundred,")
    bed.put("archives/broken.zip", packed(files))
    bed.refused("validation", "s3://in-files/archives/broken.zip", "s3://out-files/archives/broken/{entry}.gz", route=route, says=["object 4: "])
    assert not bed.exists("archives/broken/0.csv.gz")


def test_damage_and_places(bed):
    """One broken entry, or one name that is taken, and nothing is published."""
    data = bytearray(packed(FILES))
    at = data.index(noise(7 << 20)[1000:1040]) if noise(7 << 20)[1000:1040] in data else data.index(b"noise") + 5_000
    data[at] ^= 1
    bed.put("archives/damaged.zip", bytes(data))
    bed.refused("format.corrupt", "s3://in-files/archives/damaged.zip", "s3://out-files/archives/damaged/{entry}", route=ALL, says=["noise"])
    bed.put("archives/all.zip", packed(FILES))
    bed.s3.put_object(Bucket="out-files", Key="archives/taken/one", Body=b"somebody else's")
    bed.refused("destination.exists", "s3://in-files/archives/all.zip", "s3://out-files/archives/taken/{entry}", route=ALL, says=["taken/one"])
    assert bed.get("archives/taken/one") == b"somebody else's" and not bed.exists("archives/taken/noise")
    for key in ("damaged/first-empty", "taken/first-empty"):
        assert not bed.exists(f"archives/{key}"), key


def test_what_a_plan_refuses(bed):
    source = bed.file(packed(FILES))
    none = 'stages:\n  - decompress: { codec: zip, entries: "*.txt" }\n'
    bed.refused("archive.entry", source, bed.path(), route=none, says=["no file in the archive matches `*.txt`", "it has 7"])
    both = 'stages:\n  - decompress: { codec: zip, entries: "**", entry: one }\n'
    bed.refused("route.invalid", source, bed.path(), route=both, says=["stands beside `entry`"], receipt=False)
    one = "stages:\n  - decompress: { codec: zip, entry: one }\n"
    bed.refused("plan.refused", source, bed.path("-{entry}"), route=one, says=["takes none by `entries`"], receipt=False)
    line = ["--checkpoint", bed.path(), source, bed.path("-{n}")]
    bed.refused("plan.refused", *line, route=ALL, says=["leave out --checkpoint"], receipt=False)
    line = [source, bed.path("-{n}-{entry}")]
    bed.refused("plan.refused", *line, route=ALL, says=["{n} and {entry}"], receipt=False)
    for names in [["a", "a/b"], ["x", "./x"], ["d//x"], ["a/."]]:
        odd = bed.file(packed({name: b"x" for name in names}))
        bed.refused("archive.unsafe", odd, f"{bed.path()}-{{entry}}", route=ALL, says=[names[-1]])
    zipped = ALL + "  - compress: { codec: zip }\n"
    bed.refused("plan.refused", source, bed.path("-{n}.zip"), route=zipped, says=["makes an archive of one file"], receipt=False)
    few = "limits: { max_output_bytes: 1MiB }\n" + ALL
    bed.refused("limit.max_output_bytes", source, bed.path("-{n}"), route=few, says=["in 7 entries"])


def test_more_files_than_a_process_may_hold_open(bed):
    """The soft limit is not the system's word."""
    files = {f"{number:04}.txt": b"%d" % number for number in range(300)}
    source, out = bed.file(packed(files)), bed.path("-out")
    out.mkdir()
    soft = ["bash", "-c", 'ulimit -S -n 128; exec "$@"', "-", str(eft.WORKER), "transfer", "--quiet", "--route"]
    subprocess.run([*soft, bed.file(ALL.encode(), ".yaml"), source, f"{out}/{{entry}}"], check=True, env=bed.server.env)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == files


def test_memory_does_not_grow_with_the_number_of_files(bed):
    files = {f"{number:04}.txt": noise(20_000 + number) for number in range(600)}
    bed.put("archives/many.zip", packed(files))
    done = bed.worker("s3://in-files/archives/many.zip", "s3://out-files/archives/many/{entry}", "--memory", "32MiB", route=ALL, measured=True)
    assert len(done.receipt["deliveries"]) == 600
    assert bed.get("archives/many/0599.txt") == files["0599.txt"]
    peak = done.usage["rss"] / eft.MIB
    print(f"     600 objects, peak {peak:.0f} MiB with a budget of 32 MiB", flush=True)
    assert peak <= 32 + 40 + eft.LARGER_CODE / eft.MIB
