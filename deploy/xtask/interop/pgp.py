"""OpenPGP with GnuPG on the other side: what it makes we read, what we make it reads, and what is forged nobody gets."""

import contextlib
import functools
import os
import pathlib
import subprocess
import tempfile

from bed import noise, same, table

import eft

KEYS = eft.OWN.parent.parent / "worker" / "pipeline" / "tests" / "pgp"
DECRYPT = "stages:\n  - pgp_decrypt: { keys: [ours], signers: [acme] }\n"
UNSIGNED = "stages:\n  - pgp_decrypt: { keys: [ours], verify: none }\n"
UNPROVEN = "the message cannot be decrypted, or its integrity or signature does not hold"
SMALL_PARTS = ["--no-server-copy", "--part-size", "5MiB"]
# Several parts and thousands of partial lengths.
BIG = 24 << 20
# A message of 256 MiB is not held: the buffers of the stage on top of those of the transfer.
MAX_RSS = 256 << 20


@contextlib.contextmanager
def gnupg():
    """GnuPG with the keys of the tests."""
    # The path of an agent's socket may not be long.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="gpg") as home:
        os.chmod(home, 0o700)
        line = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--yes", "--trust-model", "always"]
        line += ["--pinentry-mode", "loopback", "--passphrase", "sesame"]

        def gpg(*args, data=b"", failing=False):
            done = subprocess.run([*line, *map(str, args)], input=data, capture_output=True, check=False)
            assert failing or done.returncode == 0, f"gpg {args}: {done.stderr.decode(errors='replace')}"
            return done

        try:
            for key in sorted(KEYS.glob("*.asc")):
                if key.name != "revoked.pub.asc":
                    gpg("--import", key)
            yield gpg
        finally:
            subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


@functools.cache
def made(*args, data):
    with gnupg() as gpg:
        return gpg(*args, data=data).stdout


def keys(bed):
    """A folder as users have it: NAME.asc, and passphrases beside."""
    folder = bed.path(".keys")
    folder.mkdir()
    for kind in "pub", "sec":  # Secret keys hold their public halves.
        for key in KEYS.glob(f"*.{kind}.asc"):
            (folder / f"{key.name.partition('.')[0]}.asc").write_bytes(key.read_bytes())
    (folder / "locked.pass").write_text("sesame\n")
    return folder


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_messages_of_gnupg(bed):
    folder = keys(bed)
    for name, content in ("empty", b""), ("table", table(50_000)), ("big", noise(BIG)):
        for armor in [], ["--armor"]:
            for algorithm in "none", "zip", "zlib", "bzip2":
                if name == "big" and (armor or algorithm != "none"):
                    continue
                message = made(*armor, "--compress-algo", algorithm, "--sign", "-u", "acme@", "--encrypt", "-r", "ours@", data=content)
                key = f"pgp/{name}-{algorithm}{'-armor' if armor else ''}"
                bed.put(key, message)
                bed.transfer(key, route=DECRYPT, flags=[*SMALL_PARTS, "--keys", folder])
                same(key, bed.get(key), content)


def test_gnupg_reads_ours(bed):
    folder = keys(bed)
    with gnupg() as gpg:
        for name, content in ("empty", b""), ("table", table(50_000)), ("big", noise(BIG)):
            for signer in "ours", "acme", "subkey", "locked":
                for armor in "false", "true":
                    route = f"stages:\n  - pgp_encrypt: {{ recipients: [large, acme], sign_with: {signer}, armor: {armor} }}\n"
                    key = f"pgp/out/{name}-{signer}-{armor}"
                    bed.put(key, content)
                    bed.transfer(key, route=route, flags=[*SMALL_PARTS, "--keys", folder])
                    read = gpg("--status-fd", "2", "--decrypt", data=bed.get(key))
                    same(key, read.stdout, content)
                    for status in b"GOODSIG", b"DECRYPTION_OKAY", b"GOODMDC":
                        assert status in read.stderr, (key, read.stderr)
        route = "stages:\n  - pgp_sign: { sign_with: ours, compression: zlib }\n"
        bed.put("pgp/out/signed", table(5_000))
        bed.transfer("pgp/out/signed", route=route, flags=[*SMALL_PARTS, "--keys", folder])
        read = gpg("--status-fd", "2", "--decrypt", data=bed.get("pgp/out/signed"))
        same("signed", read.stdout, table(5_000))
        assert b"GOODSIG" in read.stderr, read.stderr


def refused(bed, name, message, code, *says, route=DECRYPT):
    """The object is refused, and not a byte of it is visible."""
    key = f"pgp/refused/{name}"
    bed.put(key, message)
    flags = [*SMALL_PARTS, "--keys", keys(bed)]
    return bed.refused(code, *flags, f"s3://in-files/{key}", f"s3://out-files/{key}", route=route, says=says)


def test_forged_messages(bed):
    big = made("--compress-algo", "none", "--sign", "-u", "acme@", "--encrypt", "-r", "ours@", data=noise(BIG))
    # At both ends, in the middle, and in the modification detection code.
    for at in 500, len(big) // 2, len(big) - 5_000, len(big) - 1:
        refused(bed, f"flipped-{at}", flip(big, at), "crypto.refused", UNPROVEN)
    for end in len(big) // 2, len(big) - 1:
        refused(bed, f"cut-{end}", big[:end], "format.truncated", "the message ends within a packet")
    refused(bed, "twice", big + big, "format.trailing", "follows the message")


def test_forged_messages_say_nothing(bed):
    content = table(20_000)
    broken = content.replace(b"\n7,", b"\nx,", 1)
    route = DECRYPT + "  - validate: { csv: { header: [id, name, day], types: { id: integer } } }\n"
    message = made("--compress-algo", "none", "--sign", "-u", "acme@", "--encrypt", "-r", "ours@", data=broken)
    genuine = refused(bed, "broken", message, "validation", "column id", route=route)
    assert genuine.receipt["rejects"], genuine.receipt
    forged = refused(bed, "broken-and-flipped", flip(message, len(message) - 300), "crypto.refused", UNPROVEN, route=route)
    assert not forged.receipt.get("rejects"), forged.receipt


def test_wrong_keys_and_signers(bed):
    content = table(100)
    encrypted = ["--encrypt", "-r", "ours@"]
    refused(bed, "other-key", made("--encrypt", "-r", "large@", data=content), "crypto.no_key", "none of these is a key", route=UNSIGNED)
    refused(bed, "unsigned", made(*encrypted, data=content), "crypto.refused", "the message is not signed")
    refused(bed, "mallory", made("--sign", "-u", "mallory@", *encrypted, data=content), "crypto.refused", "none of the route's `signers`")
    route = DECRYPT.replace("acme", "revoked")
    refused(bed, "plain", made("--store", data=content), "crypto.refused", "the message is not encrypted")
    folder = keys(bed)
    (folder / "revoked.asc").write_bytes((KEYS / "revoked.pub.asc").read_bytes())
    bed.put("pgp/revoked", made("--sign", "-u", "revoked@", *encrypted, data=content))
    places = "s3://in-files/pgp/revoked", "s3://out-files/pgp/revoked"
    bed.refused("crypto.refused", "--keys", folder, *places, route=route, says=["the key is revoked"])


def test_keys_are_looked_for_first(bed):
    bed.put("pgp/keys", b"never read")
    places = "s3://in-files/pgp/keys", "s3://out-files/pgp/keys"
    route = "stages:\n  - pgp_decrypt: { keys: [nobody, locked], signers: [none] }\n"
    folder = keys(bed)
    (folder / "locked.pass").write_text("wrong\n")
    says = ["secret key `nobody`", "the passphrase does not unlock it", "public key `none`"]
    bed.refused("keys.unusable", "--keys", folder, *places, route=route, says=says, receipt=False)
    bed.refused("keys.unusable", *places, route=DECRYPT, says=["no place of keys was given"], receipt=False)
    says = ["standard output cannot be taken back"]
    bed.refused("plan.refused", "--keys", folder, places[0], "-", route=DECRYPT, says=says, receipt=False)


def test_memory_does_not_grow(bed):
    folder = keys(bed)
    source = bed.path()
    with source.open("wb") as file:
        for _ in range(16):
            file.write(noise(16 << 20))
    message, back = bed.path(".pgp"), bed.path()
    route = "stages:\n  - pgp_encrypt: { recipients: [ours], sign_with: acme }\n"
    out = bed.worker("--keys", folder, source, message, route=route, measured=True)
    again = bed.worker("--keys", folder, message, back, route=DECRYPT, measured=True)
    same("again", back.read_bytes(), source.read_bytes())
    for result in out, again:
        assert result.usage["rss"] < MAX_RSS, result.usage
    for path in map(pathlib.Path, (source, message, back)):
        path.unlink()
