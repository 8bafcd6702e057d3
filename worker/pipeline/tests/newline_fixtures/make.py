"""Write expected.txt: a text and what Python makes of its line ends, all in hexadecimal.

Columns: the text, to lf, to crlf, and both again with a lone CR as a line end.
"""

import io
import itertools
import pathlib

here = pathlib.Path(__file__).parent


def universal(text, newline):
    """What Python writes of what it reads: CR, LF and CRLF end lines."""
    lines = io.TextIOWrapper(io.BytesIO(text), encoding="latin-1", newline=None).read()
    out = io.BytesIO()
    with io.TextIOWrapper(out, encoding="latin-1", newline=newline) as file:
        file.write(lines)
        file.flush()
        return out.getvalue()


def kept(text, newline):
    unix = text.replace(b"\r\n", b"\n")
    return unix.replace(b"\n", newline)


texts = [b"".join(parts) for n in range(6) for parts in itertools.product([b"\r", b"\n", b"a"], repeat=n)]
texts += [b"id,name\r\n1,\"two\r\nlines\"\n2,M\xfcller\r3,last\r\n", b"\xef\xbb\xbfx\r\r\n\n\ry"]
with open(here / "expected.txt", "w") as file:
    for text in texts:
        made = [kept(text, b"\n"), kept(text, b"\r\n"), universal(text, "\n"), universal(text, "\r\n")]
        print(*(part.hex() or "-" for part in [text, *made]), file=file)
