"""Write tables.rs: the EBCDIC code pages, from Python's codecs.

Python has no cp1047: it is cp037 with six characters in other places, as IBM's CP01047 and glibc's IBM1047 have them.
Python's cp273 has U+203E at BC. The page has the characters of ISO-8859-1, each once, as cp037 and cp500 do; so there
it is U+00AF, as in glibc's IBM273.
"""

import pathlib
import string

assert string.printable.encode("cp037").decode("cp037") == string.printable

EVERY = bytes(range(256))
CP037 = EVERY.decode("cp037")
MOVED = {0x5F: "^", 0xAD: "[", 0xB0: "\u00ac", 0xBA: "\u00dd", 0xBB: "\u00a8", 0xBD: "]"}

PAGES = {
    "CP037": ("United States, Canada, Netherlands, Portugal, Brazil", CP037),
    "CP273": ("Austria, Germany", EVERY.decode("cp273").replace("\u203e", "\u00af")),
    "CP500": ("Belgium, Switzerland, international", EVERY.decode("cp500")),
    "CP1047": ("Open systems: z/OS UNIX, C compilers", "".join(MOVED.get(i, c) for i, c in enumerate(CP037))),
    "CP1140": ("CP037 with the euro sign", EVERY.decode("cp1140")),
}

lines = ["//! Made by `make_tables.py`: the character of each byte, by its code point.", ""]
for name, (where, page) in PAGES.items():
    assert len(page) == len(set(page)) == 256, name
    lines += [f"/// {where}.", "#[rustfmt::skip]", f"pub(super) const {name}: [u16; 256] = ["]
    for row in range(0, 256, 16):
        lines.append("    " + " ".join(f"0x{ord(c):04x}," for c in page[row : row + 16]))
    lines.append("];")
here = pathlib.Path(__file__).parent
(here / "tables.rs").write_text("\n".join(lines) + "\n")
