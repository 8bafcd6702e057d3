"""Makes a certificate for 127.0.0.1: `certificates.py FOLDER` writes `ca.pem`, `server.pem` and `server.key` there.

A process of its own, because what makes them is big.
"""

import datetime
import ipaddress
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ADDRESS = ipaddress.ip_address("127.0.0.1")


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, *extensions):
    """Good from an hour ago for a day."""
    now = datetime.datetime.now(datetime.timezone.utc)
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
    for extension, critical in extensions:
        made = made.add_extension(extension, critical)
    return made.sign(issuer_key, hashes.SHA256())


def usage(of_authority):
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
    used = {"key_cert_sign", "crl_sign"} if of_authority else {"digital_signature"}
    return x509.KeyUsage(**{one: one in used for one in names})


def main():
    folder = pathlib.Path(sys.argv[1])
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca, server = name("EFT tests"), name("127.0.0.1")
    authority = certificate(ca, ca_key, ca, ca_key, (x509.BasicConstraints(True, 0), True), (usage(True), True),
                            (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False))  # fmt: skip
    leaf = certificate(server, key, ca, ca_key, (x509.BasicConstraints(False, None), True), (usage(False), True),
                       (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                       (x509.SubjectAlternativeName([x509.IPAddress(ADDRESS)]), False),
                       (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
                       (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False))  # fmt: skip
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "server.pem").write_bytes(leaf.public_bytes(pem))
    plain = serialization.NoEncryption()
    (folder / "server.key").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))


if __name__ == "__main__":
    main()
