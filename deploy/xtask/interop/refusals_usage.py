"""What the user got wrong is said before a byte moves; what a receipt claims wrongly is found."""

import base64
import json
import re

from bed import noise

import eft

MIB = eft.MIB


def usage(bed, *args, says=(), command="transfer", **options):
    """Exit code 2, and the message names what is wrong."""
    result = bed.worker(*args, code=eft.USAGE, command=command, **options)
    assert all(str(words) in result.said for words in says), (says, str(result))
    assert not result.out and not result.receipt, result
    return result


def test_flags(bed):
    places = ["s3://in-files/x", "s3://out-files/x"]
    usage(bed, "--no-such-flag", *places, says=["--no-such-flag"])
    usage(bed, "s3://in-files/x", says=["<DST>"])
    usage(bed, says=["<SRC>", "<DST>"])
    usage(bed, *places, says=["bring"], command="bring")
    for flag, values in {
        "--memory": ["", "5XB", "-1", "1.5GiB", "99999999999TiB", "64mib"],
        "--part-size": ["5 apples", "MiB"],
        "--concurrency": ["0", "513", "many", "-3"],
    }.items():
        for value in values:
            usage(bed, f"{flag}={value}", *places, says=[flag, f"'{value}'"])


def test_uris(bed):
    for place, *says in [
        ["s3://in-files/", "has no key"],
        ["s3://in-files", "s3://in-files"],
        ["s3://", "s3://"],
        ["s3:///x", "3 to 63 characters"],
        ["s3://a/x", "3 to 63 characters"],
        ["s3://In-Files/x", "a-z, 0-9"],
        ["s3://in..files/x", "two dots"],
        ["s3://192.168.1.1/x", "IP address"],
        [f"s3://in-files/{'k' * 1025}", "1,024 bytes"],
        ["s3://in-files/x?versionId=a b", "is not a version id"],
        ["", "is empty"],
        ["file://host/x", "names a host"],
    ]:
        usage(bed, place, "s3://out-files/x", says=["<SRC>", *says])
        usage(bed, "s3://in-files/x", place, says=["<DST>", *says])


def test_a_version_is_no_destination(bed):
    bed.put("usage/x", b"x")
    target = "s3://out-files/usage/x?versionId=abc"
    bed.worker("s3://in-files/usage/x", target, code=eft.USAGE)
    assert not bed.exists("usage/x")


def routed(bed, route, *says, **options):
    """The route is refused with these faults, in this order, and nothing else happens."""
    bed.put("usage/routed", b"x")
    bed.server.ask("/_reset", "POST")
    line = ["s3://in-files/usage/routed", "s3://out-files/usage/routed"]
    result = bed.refused("route.invalid", *line, route=route, receipt=False, **options)
    at = 0
    for words in says:
        found = result.said.find(words, at)
        assert found >= 0, f"{words!r} is not said, or not in its place: {result}"
        at = found + len(words)
    made = [record for record in bed.server.ask("/_log") if record["op"] != "ListObjectsV2"]
    assert not made, f"requests were made: {made}"
    return result


def test_unknown_stage(bed):
    routed(bed, "stages:\n  - decompres: { codec: gzip }\n", "line 2: /stages/0/decompres: unknown stage `decompres`", "`decompress`?")
    routed(bed, "stages:\n  - encrypt\n", "line 2: /stages/0: unknown stage `encrypt`, known are concat, decompress")
    routed(bed, "stages:\n  - validate: avro\n", "line 2: /stages/0/validate: unknown check `avro`")
    routed(bed, "stages:\n  - compress: { codec: lz4 }\n", "line 2: /stages/0/compress/codec: `lz4` is not one of bzip2, gzip, xz, zstd")


def test_contradictory_route(bed):
    for stages, *says in [
        [["compress: { codec: gzip }", "decompress: { codec: gzip }"], "line 3: /stages/1: undoes what stage 0"],
        [["compress: { codec: gzip }", "compress: { codec: gzip }"], "line 3: /stages/1: compresses with gzip"],
        [["compress: { codec: zstd }", "validate: utf8"], "line 3: /stages/1: checks the content", "move it before stage 0"],
        [["compress: { codec: zstd }", "decompress: { codec: gzip }"], "line 3: /stages/1: reads gzip, but stage 0"],
        [['validate: { csv: { delimiter: ";", quote: ";" } }'], "line 2: /stages/0/validate/csv/quote: is the delimiter"],
        [["validate: { csv: { header: [a], not_null: [b] } }"], "line 2: /stages/0/validate/csv/not_null/0: column `b`"],
        [["validate: { csv: { header: [a], columns: [a] } }"], "line 2: /stages/0/validate/csv/columns", "keep either"],
    ]:
        routed(bed, "stages:\n" + "".join(f"  - {stage}\n" for stage in stages), *says)
    glob = 'match: { prefix: "in/", glob: "*.csv.gz" }\nstages:\n  - validate: utf8\n'
    routed(bed, glob, "line 3: /stages/0: checks the content of files", "decompress them first")
    routed(bed, "limits: { max_input_bytes: 1KiB, max_output_bytes: 1KiB, max_record_bytes: 2KiB }\n", "line 1: /limits/max_record_bytes")


def test_broken_yaml(bed):
    for route, *says in [
        ["stages:\n  - decompress: { codec: gzip\n", "line", "not YAML"],
        ["stages: [\n", "not YAML"],
        ["a: b: c\n", "line 1", "not YAML"],
        ["stages:\n\t- validate: utf8\n", "line 2", "not YAML"],
        ["limits: {}\n---\nstages: []\n", "not YAML"],
        ["stages: &a [*a, *a]\n", "not YAML"],
        ["just words\n", "must be a mapping"],
        ["- stages\n", "must be a mapping"],
        ["x" * 300_000, "300000 bytes long"],
    ]:
        routed(bed, route, *says)
    bombs = "".join(f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else 'lol'}]\n" for n in range(9))
    routed(bed, bombs, "not YAML")


def test_route_that_cannot_be_read(bed):
    line = ["s3://in-files/usage/routed", "s3://out-files/usage/routed"]
    for path in (bed.path(".yaml"), bed.folder):
        bed.refused("configuration", "--route", path, *line, says=[path], receipt=False)
    latin = bed.file("# café\nstages: []\n".encode("latin-1"), ".yaml")
    bed.refused("configuration", "--route", latin, *line, says=[latin, "UTF-8"], receipt=False)


def test_every_fault_of_a_route_at_once(bed):
    route = """\
limits: { max_ratio: 0, max_record_bytes: 5 XB }
stagse: []
stages:
  - validate:
      csv:
        delimiter: "||"
        header: [a, 2024]
        types: { a: int }
  - compress: { codec: zstd, level: 22, level: 3 }
digests: [sha265]
on_empty: ignore
"""
    result = routed(
        bed,
        route,
        "line 1: /limits/max_ratio: must be a whole number from 1 to 1000000, is 0",
        "line 1: /limits/max_record_bytes: `5 XB` is not a size",
        "line 2: /stagse: unknown field `stagse`",
        "did you mean `stages`?",
        "line 6: /stages/0/validate/csv/delimiter: must be one ASCII character",
        "line 7: /stages/0/validate/csv/header/1: must be text, is a number",
        "line 8: /stages/0/validate/csv/types/a: `int` is not one of text, integer",
        "line 9: /stages/1/compress/level: stands here a second time",
        "line 9: /stages/1/compress/level: must be a whole number from 1 to 19, is 22",
        "line 10: /digests/0: `sha265` is not one of sha256; did you mean `sha256`?",
        "line 11: /on_empty: `ignore` is not one of accept, reject, heartbeat",
    )
    assert len(re.findall(r"line \d+: ", result.said)) == 10, result


GUNZIP_TO_ZSTD = """\
stages:
  - decompress: { codec: gzip }
  - validate: { csv: { header: true } }
  - compress: { codec: zstd, level: 19 }
"""


def needed(bed, *args, **options):
    """Refused for want of memory; the amount that is named is enough. Gives it, in MiB."""
    result = bed.refused("plan.refused", *args, receipt=False, command="plan", **options)
    amount = re.search(r"raise --memory to at least (\d+)([MGT])iB", result.said)
    assert amount, f"no amount is named: {result}"
    plain = [arg for arg in args if not str(arg).startswith("--memory")]
    bed.worker(f"--memory={amount[1]}{amount[2]}iB", *plain, command="plan", **options)
    return int(amount[1]) << {"M": 0, "G": 10, "T": 20}[amount[2]]


PLANNED = "s3://out-files/usage/planned"


def test_memory_too_small(bed):
    for source in ["s3://synthetic/planned-1GiB", "s3://synthetic/planned-20TiB"]:
        bed.refused("plan.refused", "--memory=1MiB", source, PLANNED, says=["the memory is 1MiB"], receipt=False)
        needed(bed, "--memory=1MiB", source, PLANNED)
    bed.worker("--memory=1MiB", bed.file(noise(1000)), PLANNED, command="plan")


def test_memory_too_small_for_a_stream(bed):
    bed.refused("plan.refused", "--memory=1MiB", "-", PLANNED, says=["the memory is 1MiB"], receipt=False)
    needed(bed, "--memory=1MiB", "-", PLANNED)


def test_memory_too_small_for_the_stages(bed):
    for source in ["s3://synthetic/planned-1GiB", "-"]:
        needed(bed, "--memory=4MiB", source, PLANNED, route=GUNZIP_TO_ZSTD)


def test_part_size_that_does_not_fit(bed):
    for size in (100, 1024):
        line = ["--memory=64MiB", f"--part-size={size}MiB", "s3://synthetic/planned-2GiB", PLANNED]
        amount = needed(bed, *line)
        assert amount >= size, amount
    needed(bed, "--memory=64MiB", "--part-size=100MiB", "s3://synthetic/planned-2GiB", PLANNED, route=GUNZIP_TO_ZSTD)


def test_part_size_of_a_stream_that_does_not_fit(bed):
    amount = needed(bed, "--memory=64MiB", "--part-size=100MiB", "-", PLANNED)
    assert amount >= 100, amount


def test_part_size_that_no_store_takes(bed):
    """S3 takes parts of at most 5 GiB, however much memory there is."""
    line = ["--part-size=6GiB", "--memory=64GiB", "s3://synthetic/planned-100GiB", PLANNED]
    bed.refused("plan.refused", *line, says=["6GiB", "5GiB"], receipt=False, command="plan")


def test_object_too_large(bed):
    line = ["s3://synthetic/planned-60TiB", PLANNED]
    bed.refused("plan.refused", *line, says=["60TiB", "the destination takes at most 50TB"], receipt=False)


def delivered(bed, key):
    bed.put(key, noise(1000))
    path = bed.transfer(key, flags=["--no-server-copy"]).receipt_path
    bed.worker(path, command="verify")
    return path


def unverified(bed, document, code, *says):
    path = bed.file(document if isinstance(document, bytes) else json.dumps(document).encode(), ".json")
    result = bed.worker(path, command="verify", code={"configuration": eft.USAGE}.get(code, eft.FAILED))
    assert result.said.startswith(f"eft-worker: {code}: "), (code, str(result))
    assert all(words in result.said for words in says), (says, str(result))
    assert b"as the receipt says" not in result.out, result.out


def test_changed_receipt(bed):
    text = delivered(bed, "usage/receipt").read_bytes()
    for path, value in [
        (["source", "size"], 1001),
        (["source", "uri"], "s3://in-files/usage/another"),
        (["outcome"], "FAILED"),
        (["deliveries", 0, "crc64nvme"], "AAAAAAAAAAA="),
        (["deliveries", 0, "uri"], "s3://out-files/usage/another"),
        (["deliveries", 0, "endpoint", "versions"], False),
        (["totals", "retries"], 7),
        (["a_field_of_a_later_version"], True),
    ]:
        document = json.loads(text)
        place = document["receipt"]
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        unverified(bed, document, "integrity.destination", "the signature does not match")


def test_wrong_signature(bed):
    first, second = (json.loads(delivered(bed, f"usage/sign-{n}").read_text()) for n in (1, 2))
    sign = "integrity.destination"
    unverified(bed, {**first, "signature": second["signature"]}, sign, "the signature does not match")
    unverified(bed, {**first, "signature": None}, sign, "not signed")
    unverified(bed, {"receipt": first["receipt"]}, sign, "not signed")
    value = base64.b64decode(first["signature"]["value"])
    other = base64.b64encode(bytes([value[0] ^ 1]) + value[1:]).decode()
    key = base64.b64encode(bytes(32)).decode()
    for change, says in [
        ({"value": other}, "the signature does not match"),
        ({"value": "AAAA"}, "the signature does not match"),
        ({"value": "not base64"}, "signature"),
        ({"public_key": key}, "the signature does not match"),
        ({"public_key": "!"}, "public key"),
        ({"algorithm": "none"}, "unknown signature algorithm `none`"),
    ]:
        unverified(bed, {**first, "signature": {**first["signature"], **change}}, sign, says)


def test_broken_receipt(bed):
    text = delivered(bed, "usage/broken").read_bytes()
    twice = text.replace(b'"outcome"', b'"outcome": "FAILED", "outcome"', 1)
    for document, says in [
        (b"", "not JSON"),
        (text[: len(text) // 2], "not JSON"),
        (b"{}", "not a receipt"),
        (b"[]", "not a receipt"),
        (twice, "`outcome` stands twice"),
        (json.dumps({"receipt": {"schema": "other/9"}}).encode(), "`other/9` is unknown"),
        (b"\xff\xfe", "UTF-8"),
    ]:
        unverified(bed, document, "configuration", says)
    bed.worker(bed.path(), command="verify", code=eft.USAGE)


def test_destination_that_is_not_what_the_receipt_says(bed):
    sign = "integrity.destination"
    bed.put("usage/gone", noise(1000))
    target = bed.path()
    path = bed.worker("s3://in-files/usage/gone", target).receipt_path
    bed.worker(path, command="verify")
    target.write_bytes(noise(1001)[:1000])
    unverified(bed, path.read_bytes(), sign, str(target), "the receipt says")
    target.write_bytes(noise(1001))
    unverified(bed, path.read_bytes(), sign, "has 1001 bytes")
    target.unlink()
    unverified(bed, path.read_bytes(), sign, str(target))
