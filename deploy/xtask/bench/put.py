"""Puts a file into the in-memory S3: `put.py ENDPOINT FILE BUCKET KEY`. A process of its own, because boto3 is big."""

import sys

import eft

endpoint, path, bucket, key = sys.argv[1:]
with open(path, "rb") as file:
    eft.Server(None, endpoint).client().upload_fileobj(file, bucket, key)
