"""Makes the archives beside it, with CPython's zipfile, and evil ones out of them. Run it only to add one; they are
committed. Made with Python 3.11. `expected.csv` is the content of every good archive's `data/orders.csv`."""

import io
import pathlib
import struct
import zipfile

HERE = pathlib.Path(__file__).parent
DATE = (2026, 1, 2, 3, 4, 6)
CSV = ("id,sku,qty\n" + "".join(f"{n},sku-{n * 7919 % 101},{n % 13}\n" for n in range(400))).encode()


class Pipe(io.RawIOBase):
    """Can only be written, as standard output can: the writer has to use data descriptors."""

    def __init__(self):
        self.data = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.data += data
        return len(data)


def info(name, method=zipfile.ZIP_DEFLATED, mode=0o100644, system=3):
    entry = zipfile.ZipInfo(name, DATE)
    entry.compress_type, entry.external_attr, entry.create_system = method, mode << 16, system
    return entry


def archive(*entries, out=None, comment=b"", zip64=False):
    """Of (info, content) pairs."""
    out = io.BytesIO() if out is None else out
    with zipfile.ZipFile(out, "w") as made:
        made.comment = comment
        for entry, content in entries:
            if zip64:
                with made.open(entry, "w", force_zip64=True) as to:
                    to.write(content)
            else:
                made.writestr(entry, content)
    return bytes(out.data) if isinstance(out, Pipe) else out.getvalue()


def save(name, data):
    (HERE / name).write_bytes(data)


ORDERS = (info("data/orders.csv"), CSV)
plain = archive(ORDERS)


def good():
    save("expected.csv", CSV)
    save("deflate.zip", plain)
    save("stored.zip", archive((info("data/orders.csv", zipfile.ZIP_STORED), CSV)))
    save("streamed.zip", archive(ORDERS, out=Pipe()))
    save("zip64.zip", archive(ORDERS, zip64=True))
    save("zip64-streamed.zip", archive(ORDERS, out=Pipe(), zip64=True))
    save("zip64-end.zip", zip64_end(plain))
    save("comment.zip", archive(ORDERS, comment=b"made by make.py " * 20))
    folder = (info("data/", zipfile.ZIP_STORED, 0o040755), b"")
    names = [(info("data/überblick.txt"), b"hello"), (info("leer"), b""), (info("data/sheet.xlsx"), plain)]
    save("several.zip", archive(folder, names[0], ORDERS, *names[1:]))
    save("empty.zip", archive())
    save("folder.zip", archive(folder))


def end_of(data):
    return data.rindex(b"PK\5\6")


def zip64_end(data):
    """As writers do of large archives: every value in the ZIP64 record."""
    end = end_of(data)
    count, size, offset = struct.unpack_from("<HLL", data, end + 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    return data[:end] + record + locator + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)


def patched(data, *patches):
    """Of (at, format, value)."""
    data = bytearray(data)
    for at, form, value in patches:
        struct.pack_into(form, data, at, value)
    return bytes(data)


def evil():
    end = end_of(plain)
    (directory,) = struct.unpack_from("<L", plain, end + 16)

    def central(data=plain):
        return struct.unpack_from("<L", data, end_of(data) + 16)[0]

    for name, evil_name in {
        "parent": "../orders.csv", "middle": "data/../../orders.csv", "absolute": "/etc/passwd",
        "drive": "C:/orders.csv", "backslash": "data|orders.csv", "control": "data~orders.csv",
    }.items():
        data = archive((info(evil_name), CSV))
        # zipfile would mend these itself.
        save(f"evil-name-{name}.zip", data.replace(b"data|orders", b"data\\orders").replace(b"data~orders", b"data\norders"))
    save("evil-symlink.zip", archive((info("data/orders.csv", zipfile.ZIP_STORED, 0o120777), b"/etc/passwd")))
    save("evil-device.zip", archive((info("data/orders.csv", zipfile.ZIP_STORED, 0o020666), b"")))
    save("evil-encrypted.zip", patched(plain, (6, "<H", 1), (directory + 8, "<H", 1)))
    save("evil-method.zip", archive((info("data/orders.csv", zipfile.ZIP_BZIP2), CSV)))
    save("evil-nested.zip", archive((info("data/orders.zip", zipfile.ZIP_STORED), plain)))
    save("evil-nameless.zip", archive((info("orders"), plain)))
    save("evil-twice.zip", archive(ORDERS, (info("data/orders.csw"), b"other")).replace(b"orders.csw", b"orders.csv"))
    two = archive((info("a", zipfile.ZIP_STORED), b"a" * 100), (info("b", zipfile.ZIP_STORED), b"b" * 100))
    second = two.index(b"PK\1\2", central(two) + 4)
    save("evil-overlap.zip", patched(two, (second + 42, "<L", 0)))
    # The first entry claims the second's header and bytes as its own.
    save("evil-quoted.zip", patched(two, (central(two) + 20, "<L", 200), (central(two) + 24, "<L", 200)))
    save("evil-local-name.zip", plain.replace(b"data/orders.csv", b"data/0rders.csv", 1))
    save("evil-local-size.zip", patched(plain, (22, "<L", len(CSV) + 1)))
    save("evil-local-crc.zip", patched(plain, (14, "<L", 1)))
    save("evil-local-method.zip", patched(plain, (8, "<H", 0)))
    save("evil-local-gone.zip", patched(plain, (0, "<L", 0)))
    streamed = archive(ORDERS, out=Pipe())
    save("evil-descriptor.zip", patched(streamed, (central(streamed) - 8, "<L", 7)))
    save("evil-two-ends.zip", plain[:-2] + struct.pack("<H", 22) + plain[end:])
    save("evil-disk.zip", patched(plain, (end + 4, "<H", 1), (end + 6, "<H", 1)))
    save("evil-count.zip", patched(plain, (end + 8, "<H", 2), (end + 10, "<H", 2)))
    save("evil-prefix.zip", b"#!/bin/sh\n" + plain)
    save("evil-zip64-locator.zip", patched(zip64_end(plain), (len(plain) - 22 + 56 + 8, "<Q", 0)))
    save("evil-zip64-parts.zip", patched(zip64_end(plain), (len(plain) - 22 + 56 + 16, "<L", 7)))
    save("evil-zip64-disagree.zip", patched(zip64_end(plain), (len(plain) - 22 + 56 + 20 + 12, "<L", 7)))
    # Both say so, but the content is something else.
    wrong = patched(plain, (14, "<L", 1), (directory + 16, "<L", 1))
    save("evil-crc.zip", wrong)
    for name, size in (("more", len(CSV) - 1), ("less", len(CSV) + 1)):
        save(f"evil-{name}.zip", patched(plain, (22, "<L", size), (directory + 24, "<L", size)))
    bomb = archive((info("bomb.txt"), bytes(4 << 20)))
    save("evil-bomb.zip", bomb)
    size = struct.unpack_from("<L", bomb, central(bomb) + 24)[0]
    save("evil-bomb-liar.zip", patched(bomb, (22, "<L", 1000), (central(bomb) + 24, "<L", 1000)))
    assert size == 4 << 20


good()
evil()
