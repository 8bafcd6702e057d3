"""The catalogue: what it says of stages is what a plan says, and its examples are routes that run."""

import hashlib
import json
import re
import zipfile

import eft

MARKDOWN = eft.OWN.parent.parent / "worker" / "pipeline" / "stages"
# Which key a name stands for is of no account: any that can do everything.
KEY = MARKDOWN.parent / "tests" / "pgp" / "acme.sec.asc"


def stages(bed, *args):
    return bed.worker(*args, command="stages").out.decode()


def entries(bed):
    return json.loads(stages(bed, "--json"))


def test_table(bed):
    lines = stages(bed).splitlines()
    found = entries(bed)
    assert lines[0].split() == ["name", "kind", "order", "resume", "memory", "limits", "summary"], lines[0]
    assert [line.split()[0] for line in lines[1:]] == [entry["name"] for entry in found], lines
    for line, entry in zip(lines[1:], found, strict=True):
        cells = re.split(r" {2,}", line)
        order = "in order" if entry["ordered"] else "any"
        assert cells[1:4] == [entry["kind"], order, entry["resume"]], line
        assert cells[5] == (" ".join(entry["limits"]) or "-") and cells[6] == entry["summary"], line


def test_pages(bed):
    """The pages that are printed are the files of the documentation, and a program gets the same without the text."""
    found = entries(bed)
    assert {f"{entry['name']}.md" for entry in found} | {"README.md"} == {path.name for path in MARKDOWN.iterdir()}
    for entry in found:
        page = stages(bed, entry["name"])
        assert page == (MARKDOWN / f"{entry['name']}.md").read_text(), entry["name"]
        assert entry["summary"] in page and entry["example"] in page, entry["name"]
        assert json.loads(stages(bed, entry["name"], "--json")) == entry


def test_examples_are_planned(bed):
    """A route of the documentation plans as it stands, and its plan names the stage and a class no better than its own."""
    source, keys = bed.file(b"x\n"), bed.path()
    archive = bed.path(".zip")
    source.with_name(source.name + ".sha256").write_text(hashlib.sha256(b"x\n").hexdigest())
    # As a manifest it names a file beside it.
    source.with_name("x").write_bytes(b"x\n")
    keys.mkdir()
    for entry in entries(bed):
        for name in re.findall(r"hash: \{ key: ([\w-]+) \}", entry["example"]):
            (keys / f"{name}.key").write_bytes(bytes(32))
        for names in re.findall(r"(?:keys|signers|recipients|sign_with): \[?([\w, -]+)", entry["example"]):
            for name in names.split(", "):
                (keys / f"{name}.asc").write_bytes(KEY.read_bytes())
        named = re.findall(r'entry: "?([\w./-]+)', entry["example"])
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr(named[0] if named else "x", "x\n")
        given = archive if "codec: zip" in entry["example"] else source
        to = bed.path("-{n}" if "split:" in entry["example"] else "")
        # A plan asks no scanner anything.
        flags = ["--keys", keys, "--scanner", "127.0.0.1:1"]
        plan = bed.worker(*flags, given, to, command="plan", route=entry["example"]).out.decode()
        said = dict(line.split(None, 1) for line in plan.splitlines() if line.split(None, 1)[1:])
        assert entry["name"] in said["stages"].split(", "), plan
        assert said["resume"] >= entry["resume"], plan


def test_unknown_stage(bed):
    for name, hint in {"validate.cvs": "did you mean `validate.csv`?", "comprss": "did you mean `compress`?", "x": "compress"}.items():
        result = bed.worker(name, command="stages", code=eft.USAGE)
        assert result.said.startswith(f"eft-worker: configuration: unknown stage `{name}`, known are "), str(result)
        assert hint in result.said and not result.out, str(result)
    hostile = bed.worker("a\x1b[31m\n", command="stages", code=eft.USAGE)
    assert "\x1b" not in hostile.said and r"`a\u{1b}[31m\n`" in hostile.said, str(hostile)
