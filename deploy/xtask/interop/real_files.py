"""Files of this machine and of other programs, through each stage; what comes out is what another program makes of them."""

import csv
import functools
import gzip
import io
import json
import os
import pathlib
import pydoc_data
import struct
import subprocess
import sys
import xml.etree.ElementTree
import xml.parsers.expat

from bed import same

import eft

# Debian's own account of its packages; where there is none, the longest text that every Python has.
DPKG = pathlib.Path("/var/lib/dpkg/status")
TEXT = DPKG if DPKG.exists() else pathlib.Path(pydoc_data.__file__).with_name("topics.py")
# By bgzip of htslib.
BGZIP = eft.OWN.parent.parent / "worker" / "pipeline" / "tests" / "data" / "codec" / "bgzip.gz"
S3 = "botocore/data/s3/2006-03-01/service-2.json.gz"


def made(*line, data=None):
    """What a program writes, given these bytes or the text."""
    data = TEXT.read_bytes() if data is None else data
    # Bytes are bytes, whatever language the user speaks.
    env = {**os.environ, "LC_ALL": "C"}
    return subprocess.run([str(part) for part in line], input=data, stdout=subprocess.PIPE, env=env, check=True).stdout


def becomes(bed, data, route, wanted):
    """The file becomes these bytes; gives the receipt."""
    target = bed.path()
    result = bed.worker(bed.file(data), target, route=f"digests: [sha256]\nstages:\n{route}")
    same(route, target.read_bytes(), wanted)
    for side in (result.receipt["source"], result.receipt["deliveries"][0]):
        content = data if side is result.receipt["source"] else wanted
        assert side["sha256"] == made("sha256sum", data=content).split()[0].decode(), side
    return result.receipt


def records(receipt, name):
    (stage,) = [stage for stage in receipt["stages"] if stage["name"] == name]
    return stage["records"]


@functools.cache
def shapes():
    """The JSON of Amazon's that describes S3, a shape a line."""
    (path,) = [found for folder in sys.path if (found := pathlib.Path(folder, S3)).exists()][:1]
    described = json.loads(gzip.decompress(path.read_bytes()))["shapes"]
    return [json.dumps({"name": name, **shape}, ensure_ascii=False) for name, shape in described.items()]


def test_text_packed_by_its_programs(bed):
    print(f"     {TEXT}, {TEXT.stat().st_size:,} bytes", flush=True)
    for codec, program in {"gzip": ["gzip", "-9"], "bzip2": ["bzip2"], "xz": ["xz", "-6"], "zstd": ["zstd", "-q", "-10"]}.items():
        packed = made(*program, "-c")
        becomes(bed, packed, f"  - decompress: {{ codec: {codec} }}\n", made(program[0], "-dc", data=packed))
    becomes(bed, BGZIP.read_bytes(), "  - decompress: { codec: gzip }\n", made("gzip", "-dc", data=BGZIP.read_bytes()))


def test_lines_of_text(bed):
    """As head(1), sed(1), dd(1), split(1) and awk(1) see them."""
    text, unicode = TEXT.read_bytes(), "  - validate: utf8\n"
    becomes(bed, text, unicode + "  - head: { first: 1000 }\n", made("head", "-n", "1000"))
    becomes(bed, text, unicode + "  - drop: { first: 1, last: 1 }\n", made("sed", "1d;$d"))
    crlf = made("sed", "s/$/\r/")
    becomes(bed, text, "  - newline: { to: crlf }\n", crlf)
    becomes(bed, crlf, "  - newline: { to: lf }\n", text)
    becomes(bed, b"\xef\xbb\xbf" + text, "  - strip_bom\n", text)
    cards = made("dd", "conv=block", "cbs=72", "status=none")
    receipt = becomes(bed, cards, "  - validate: { fixed_width: { record: 72, terminator: none } }\n", cards)
    assert records(receipt, "validate.fixed_width") == int(made("wc", "-l")), receipt["stages"]
    pieces, folder = bed.path("-pieces"), bed.path("-split")
    for made_in in (pieces, folder):
        made_in.mkdir()
    made("split", "-l", "1000", "-", pieces / "piece-")
    bed.worker(bed.file(text), f"{folder}/{{n}}", route="stages:\n  - split: { after_records: 1000 }\n")
    ours, theirs = [[path.read_bytes() for path in sorted(place.iterdir())] for place in (folder, pieces)]
    assert len(ours) == len(theirs) > 5 and ours == theirs, (len(ours), len(theirs))


def test_lines_that_come_twice(bed):
    sole = made("awk", "!seen[$0]++")
    becomes(bed, sole, "  - validate: unique\n", sole)
    number = made("awk", "seen[$0]++ { print NR; exit }").decode().strip()
    bed.refused("validation", bed.file(TEXT.read_bytes()), bed.path(), route="stages:\n  - validate: unique\n", says=[f"record {number} at byte"])


def test_a_table_of_a_spreadsheet(bed):
    """CP1252, semicolons, CRLF, quotes, as spreadsheets of western Europe write; read by iconv(1) and by Python."""
    letters = [bytes([byte]).decode("cp1252") for byte in range(0x20, 0x100) if byte not in (0x7F, 0x81, 0x8D, 0x8F, 0x90, 0x9D)]
    rows = [[str(at), f"Zoë \"{one}\" Müller; {one}", f"{at},{at % 100:02} €", "" if at % 7 else f"two\r\nlines {one}"] for at, one in enumerate(letters * 40)]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=";").writerows([["id", "name", "amount", "note"], *rows])
    table = out.getvalue().encode("cp1252")
    charset = "  - charset: { from: windows-1252 }\n"
    unicode = made("iconv", "-f", "CP1252", "-t", "UTF-8", data=table)
    rules = '  - validate: { csv: { header: [id, name, amount, note], delimiter: ";", types: { id: integer } } }\n'
    receipt = becomes(bed, table, charset + rules, unicode)
    assert records(receipt, "validate.csv") == len(rows), receipt["stages"]
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows((row[3], row[0]) for row in csv.reader(io.StringIO(unicode.decode(), newline=""), delimiter=";"))
    project = '  - csv_project: { delimiter: ";", header: true, columns: [note, id], output: { delimiter: "," } }\n'
    becomes(bed, table, charset + project, out.getvalue().encode())
    target = bed.path()
    lines = '  - csv_to_jsonl: { delimiter: ";", header: true, types: { id: integer } }\n'
    bed.worker(bed.file(table), target, route=f"stages:\n{charset}{lines}  - validate: jsonl\n")
    read = [json.loads(line) for line in target.read_bytes().splitlines()]
    wanted = [{**row, "id": int(row["id"]), "note": row["note"] or None} for row in csv.DictReader(io.StringIO(unicode.decode(), newline=""), delimiter=";")]
    assert read == wanted, next((pair for pair in zip(read, wanted) if pair[0] != pair[1]), (len(read), len(wanted)))


def test_a_file_of_a_mainframe(bed):
    """Text by iconv(1), numbers as COBOL lays them out: packed, zoned, binary."""
    names = [line[:20].strip() or b"-" for line in TEXT.read_bytes().splitlines() if line.isascii() and b"\t" not in line][:5_000]
    text = made("iconv", "-f", "ASCII", "-t", "IBM037", data=b"".join(name.ljust(20) for name in names))
    records, wanted = [], io.StringIO(newline="")
    lines = csv.writer(wanted, lineterminator="\n")
    lines.writerow(["name", "amount", "branch", "entries"])
    for at, name in enumerate(names):
        cents, entries = (at * 7919 % 2_000_001) - 1_000_000, at * 31 - 70_000
        packed = bytes.fromhex(f"{abs(cents):09}{'d' if cents < 0 else 'c'}")
        zoned = bytes(0xF0 | int(digit) for digit in f"{at % 10_000:04}")
        records.append(text[at * 20 : at * 20 + 20] + packed + zoned + struct.pack(">i", entries))
        sign = "-" if cents < 0 else ""
        lines.writerow([name.decode(), f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02}", at % 10_000, entries])
    layout = """\
  - ebcdic:
      from: cp037
      records: { fixed: 33 }
      layout:
        - { name: name, length: 20 }
        - { name: amount, type: packed, length: 5, scale: 2 }
        - { name: branch, type: zoned, length: 4, signed: false }
        - { name: entries, type: binary, length: 4 }
      trim: true
"""
    becomes(bed, b"".join(records), layout, wanted.getvalue().encode())


def test_lines_of_json(bed):
    lines = shapes()
    data = "".join(line + "\n" for line in lines).encode()
    receipt = becomes(bed, data, "  - validate: jsonl\n", data)
    assert records(receipt, "validate.jsonl") == len(lines) > 500, receipt["stages"]
    spoiled = [*lines[:400], lines[400].replace(":", ";", 1), *lines[401:]]
    bed.refused("validation", bed.file("\n".join(spoiled).encode()), bed.path(), route="stages:\n  - validate: jsonl\n", says=["record 401 at byte"])


def test_a_document(bed):
    """XML by ElementTree; where it ends too early or a bit is wrong, Expat and the stage say the same."""
    root = xml.etree.ElementTree.Element("shapes")
    for at, line in enumerate(shapes()):
        xml.etree.ElementTree.SubElement(root, "shape", {"at": str(at), "said": line[:80]}).text = line
    document = xml.etree.ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    route = "stages:\n  - validate: { xml: { root: shapes } }\n"
    becomes(bed, document, route.removeprefix("stages:\n"), document)
    broken = [document[:-1], document[: len(document) // 2], document + b"<shapes/>"]
    broken += [document[:at] + bytes([document[at] ^ 4]) + document[at + 1 :] for at in range(1_000, len(document), len(document) // 40)]
    for data in broken:
        try:
            xml.parsers.expat.ParserCreate().Parse(data, True)
        except xml.parsers.expat.ExpatError:
            failed = bed.worker(bed.file(data), bed.path(), route=route, code=eft.REJECTED)
            assert failed.receipt["outcome"] == "REJECTED", failed
        else:
            bed.worker(bed.file(data), bed.path(), route=route)


def test_a_list_that_counts_itself(bed):
    """The programs of this machine with their sizes, by find(1); the trailer by awk(1)."""
    listed = made("find", "/usr/bin", "-type", "f", "-printf", "%s\\t%f\\n", data=b"")
    whole = made("awk", "-F\t", '{ sum += $1; print } END { printf "TRL\\t%.0f\\t%.0f\\n", NR, sum }', data=listed)
    trailer = '  - validate: { trailer: { records: csv, delimiter: "\\t", quote: false, prefix: TRL, count: { field: 2 }, sum: { column: 1, field: 3 } } }\n'
    becomes(bed, whole, trailer, whole)
    becomes(bed, whole, trailer + "  - drop: { last: 1 }\n", listed)
    count, total = whole.splitlines()[-1].decode().split("\t")[1:]
    assert int(count) > 100, count
    largest = max(listed.splitlines(keepends=True), key=lambda line: int(line.split(b"\t")[0]))
    short, less = whole.replace(largest, b"", 1), int(largest.split(b"\t")[0])
    says = [f"it says {count} records, the file has {int(count) - 1}", f"adds up to {total}, it adds up to {int(total) - less}"]
    bed.refused("validation", bed.file(short), bed.path(), route=f"stages:\n{trailer}", says=says)
