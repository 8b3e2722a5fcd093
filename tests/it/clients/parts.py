"""Uploads in parts, by boto3's transfer manager and by hand."""

import hashlib
import io
import os

from boto3.s3.transfer import TransferConfig

from kit import client, refused, same

MIB = 1 << 20
s3 = client()
s3.create_bucket(Bucket="parts")

# As boto3 does it: parts at once, out of order.
body = os.urandom(23 * MIB + 7)
config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
extra = {"ContentType": "image/x-raw", "Metadata": {"camera": "front door"}}
s3.upload_fileobj(io.BytesIO(body), "parts", "large.raw", Config=config, ExtraArgs=extra)
head = s3.head_object(Bucket="parts", Key="large.raw")
same((head["ContentLength"], head["ContentType"], head["Metadata"]), (len(body), "image/x-raw", extra["Metadata"]))
assert head["ETag"].endswith('-5"'), head["ETag"]
back = io.BytesIO()
s3.download_fileobj("parts", "large.raw", back, Config=config)
same(hashlib.sha256(back.getvalue()).hexdigest(), hashlib.sha256(body).hexdigest())
got = s3.get_object(Bucket="parts", Key="large.raw", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
same(got["Body"].read(), body[5 * MIB - 2 : 5 * MIB + 2])

# By hand: a part sent twice counts once, and nothing is there before the end.
begun = s3.create_multipart_upload(Bucket="parts", Key="by hand")
upload = {"Bucket": "parts", "Key": "by hand", "UploadId": begun["UploadId"]}
pieces = {1: b"a" * (5 * MIB), 2: b"b" * (5 * MIB), 3: b"the end"}
s3.upload_part(**upload, PartNumber=2, Body=b"another")
tags = {number: s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"] for number, piece in pieces.items()}
refused(404, "404", s3.head_object, Bucket="parts", Key="by hand")
same([(part["PartNumber"], part["Size"]) for part in s3.list_parts(**upload)["Parts"]], [(1, 5 * MIB), (2, 5 * MIB), (3, 7)])
same([one["Key"] for one in s3.list_multipart_uploads(Bucket="parts")["Uploads"]], ["by hand"])


def finish(parts):
    """Completes it with these parts."""
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


parts = [{"PartNumber": number, "ETag": tag} for number, tag in sorted(tags.items())]
refused(400, "InvalidPartOrder", finish, parts[::-1])
refused(400, "InvalidPart", finish, [{"PartNumber": 1, "ETag": '"' + "0" * 32 + '"'}])
refused(400, "InvalidPart", finish, [*parts, {"PartNumber": 4, "ETag": parts[0]["ETag"]}])
finish(parts)
same(s3.get_object(Bucket="parts", Key="by hand")["Body"].read(), b"".join(pieces.values()))
refused(404, "NoSuchUpload", s3.upload_part, **upload, PartNumber=1, Body=b"late")

# A part that is not the last one is at least 5 MiB.
small = s3.create_multipart_upload(Bucket="parts", Key="small")
upload = {"Bucket": "parts", "Key": "small", "UploadId": small["UploadId"]}
parts = [{"PartNumber": n, "ETag": s3.upload_part(**upload, PartNumber=n, Body=b"tiny")["ETag"]} for n in (1, 2)]
refused(400, "EntityTooSmall", finish, parts)
s3.abort_multipart_upload(**upload)
refused(404, "NoSuchUpload", s3.list_parts, **upload)
same(s3.list_multipart_uploads(Bucket="parts").get("Uploads", []), [])

# A part can be a piece of another object.
copied = s3.create_multipart_upload(Bucket="parts", Key="copied")
upload = {"Bucket": "parts", "Key": "copied", "UploadId": copied["UploadId"]}
part = s3.upload_part_copy(
    **upload,
    PartNumber=1,
    CopySource={"Bucket": "parts", "Key": "large.raw"},
    CopySourceRange=f"bytes=10-{6 * MIB}",
)
finish([{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}])
same(s3.get_object(Bucket="parts", Key="copied")["Body"].read(), body[10 : 6 * MIB + 1])
