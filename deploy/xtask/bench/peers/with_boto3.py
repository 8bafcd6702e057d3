"""Copies an object as a Python worker does: `with_boto3.py s3://SOURCE s3://TARGET`, one GET's body into a managed upload."""

import os
import sys

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

MIB = 1 << 20
(source, key), (target, to) = (uri.removeprefix("s3://").split("/", 1) for uri in sys.argv[1:])
client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], config=Config(s3={"addressing_style": "path"}, proxies={}))
body = client.get_object(Bucket=source, Key=key)["Body"]
client.upload_fileobj(body, target, to, Config=TransferConfig(multipart_chunksize=16 * MIB, max_concurrency=8))
