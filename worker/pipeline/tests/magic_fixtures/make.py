#!/usr/bin/env python3
"""Files of every type, made by the programs that make them, and what file(1) says they are.

Needs bzip2, file, gpg, lz4, xz and zstd. Writes the files beside it and `expected.txt`. What has no program here (Avro,
Parquet, 7z, OLE, images) is the first bytes that its specification names, and file(1) judges those as well.
"""

import io
import pathlib
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib

HERE = pathlib.Path(__file__).resolve().parent
TEXT = b"order_id,sku,qty\n1,\xc3\xa9,3\n"


def piped(*line, data=TEXT):
    return subprocess.run(line, input=data, capture_output=True, check=True).stdout


def tar(kind):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        entry = tarfile.TarInfo("orders.csv")
        entry.size = len(TEXT)
        archive.addfile(entry, io.BytesIO(TEXT))
    return out.getvalue()[:2048]


def zipped(entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in entries:
            archive.writestr(zipfile.ZipInfo(name), TEXT)
    return out.getvalue()


def gpg(*args):
    with tempfile.TemporaryDirectory() as home:
        common = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "x"]
        return piped(*common, *args)


def encrypted_to_a_key(*args):
    with tempfile.TemporaryDirectory() as home:
        common = ["gpg", "--homedir", home, "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        piped(*common, "--quick-generate-key", "a@example.org", "rsa1024", "encrypt", "never")
        return piped(*common, "--trust-model", "always", "--recipient", "a@example.org", *args, "--encrypt")


def png():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


FILES = {
    "avro": b"Obj\x01\x04\x16avro.schema",
    "bzip2": piped("bzip2"),
    "bzip2-empty": piped("bzip2", data=b""),
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "gzip": piped("gzip", "-n"),
    "html": b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n",
    "html-old": b"\n <HTML>\n<head></head></HTML>\n",
    "jpeg": bytes.fromhex("ffd8ffe000104a46494600010101004800480000ffd9"),
    "json": b'{"order_id": 1}\n',
    "json-array": b"[\n  1, 2]\n",
    "lz4": piped("lz4", "-c"),
    "ole": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504),
    "parquet": b"PAR1" + bytes(60) + b"PAR1",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n",
    "pgp-armored": gpg("--symmetric", "--armor"),
    "pgp-key": encrypted_to_a_key(),
    "pgp-passphrase": gpg("--symmetric"),
    "png": png(),
    "7z": bytes.fromhex("377abcaf271c0004") + bytes(24),
    "tar-gnu": tar(tarfile.GNU_FORMAT),
    "tar-pax": tar(tarfile.PAX_FORMAT),
    "text": TEXT,
    "text-latin": TEXT.decode().encode("latin-1"),
    "text-utf16": TEXT.decode().encode("utf-16"),
    "tiff": b"II*\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    "xml": b'<?xml version="1.0" encoding="UTF-8"?>\n<orders/>\n',
    "xz": piped("xz", "-c"),
    "zip": zipped(["orders.csv"]),
    "zip-empty": zipped([]),
    "zstd": piped("zstd", "-c"),
}


def main():
    for name, data in FILES.items():
        (HERE / f"{name}.bin").write_bytes(data)
    lines = []
    for name in FILES:
        path = HERE / f"{name}.bin"
        mime, text = (piped("file", "--brief", *flag, path).decode().strip() for flag in [["--mime-type"], []])
        lines.append(f"{name} {mime} {text}\n")
    (HERE / "expected.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
