"""MiniStack, with what its version 1.5.33 lacks of S3.

- It answers a GET with both `versionId` and `Range` with 200 and the whole object. The worker reads versions, in parts, and takes
  no answer that does not say which part it is.
- It makes the CRC-64/NVME of a multipart object of those of its parts. S3's is always of all bytes (its documentation, "Checking
  object integrity"), the worker says which one it has to be, and an upload ends only with the same one.
- It checks the checksum that comes with a PUT and does not say so. S3 answers with it (API reference of PutObject), and a receipt
  says whether the place has checked what was sent.
"""

import collections
import json

from ministack import app
from ministack.services import s3

whole = s3._get_object


def get_object(bucket, key, headers, query=None):
    status, answer, body = whole(bucket, key, headers, query)
    asked = headers.get("range", "")
    if status != 200 or not asked:
        return status, answer, body
    part = s3._parse_range(asked, len(body))
    if part is None:
        answer = {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}
        return 416, answer, s3._xml_body(s3._range_error_xml(bucket, key))
    start, end = part
    # What is known of the whole says nothing of a part.
    answer = {name: value for name, value in answer.items() if not name.lower().startswith("x-amz-checksum-")}
    answer["Content-Length"] = str(end + 1 - start)
    answer["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
    return 206, answer, body[start : end + 1]


put = s3._put_object


def put_object(bucket, key, body, headers):
    status, answer, text = put(bucket, key, body, headers)
    if status != 200:
        return status, answer, text
    names = [f"x-amz-checksum-{algorithm}" for algorithm in s3._S3_CHECKSUM_HEADERS]
    return status, {**answer, **{name: headers[name] for name in names if name in headers}}, text


completed = s3._complete_multipart_upload
composite = s3._composite_checksum


def complete_multipart_upload(bucket, key, body, query, headers=None):
    upload_id = s3._qp(query, "uploadId")
    upload = s3._multipart_uploads.get(upload_id, {})
    if upload.get("checksum_algorithm") != "CRC64NVME":
        return completed(bucket, key, body, query, headers)
    parts = [part["body"] for _, part in sorted(upload["parts"].items())]
    of_all = s3._compute_s3_checksum("CRC64NVME", b"".join(parts))
    s3._composite_checksum = lambda _, digests: of_all if len(digests) == len(parts) else None
    try:
        status, answer, text = completed(bucket, key, body, query, headers)
    finally:
        s3._composite_checksum = composite
    if status != 200:
        return status, answer, text
    stored = s3._ensure_bucket(bucket)["objects"][key]
    for version in [stored, *s3._object_versions.get((bucket, key), [])]:
        if version.get("etag") == stored["etag"] and version.get("checksum_type"):
            version["checksum_type"] = "FULL_OBJECT"
    response = status, answer, text.replace(b"COMPOSITE", b"FULL_OBJECT")
    s3._completed_multipart_uploads[upload_id]["response"] = response
    return response


# Requests by what they ask for, at this path: what AWS would bill.
COUNTS = "/_eft/requests"
counts = collections.Counter()
served = app.app


def kind(scope):
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if target := headers.get(b"x-amz-target"):
        service, _, action = target.partition(".")
        return f"{service.split('_')[0]} {action}"
    # What is signed says for which service.
    credential = headers.get(b"authorization", "").partition("Credential=")[2].split("/")
    service = credential[3] if len(credential) > 3 else "other"
    return f"{service} {scope['method']}"


async def counted(scope, receive, send):
    if scope["type"] != "http":
        return await served(scope, receive, send)
    if scope["path"] != COUNTS:
        counts[kind(scope)] += 1
        return await served(scope, receive, send)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(counts).encode()})


if __name__ == "__main__":
    app.app = counted
    s3._get_object = get_object
    s3._put_object = put_object
    s3._complete_multipart_upload = complete_multipart_upload
    app.main()
