"""Objects: put, get, head, ranges, conditions, metadata, copies, deletes, and what is refused."""

import hashlib

from kit import client, refused, same

s3 = client()
s3.create_bucket(Bucket="objects")
same([bucket["Name"] for bucket in s3.list_buckets()["Buckets"]], ["objects"])
s3.head_bucket(Bucket="objects")

# What is put is what is there.
body = b"0123456789"
tag = '"' + hashlib.md5(body).hexdigest() + '"'
put = s3.put_object(
    Bucket="objects",
    Key="a/b.txt",
    Body=body,
    ContentType="text/plain",
    CacheControl="max-age=60",
    Metadata={"owner": "ada", "empty": ""},
)
same(put["ETag"], tag)
got = s3.get_object(Bucket="objects", Key="a/b.txt")
same((got["Body"].read(), got["ContentType"], got["ContentLength"], got["ETag"]), (body, "text/plain", 10, tag))
same((got["Metadata"]["owner"], got["CacheControl"], got["AcceptRanges"]), ("ada", "max-age=60", "bytes"))
head = s3.head_object(Bucket="objects", Key="a/b.txt")
same((head["ContentLength"], head["ETag"], head["LastModified"]), (10, tag, got["LastModified"]))
s3.put_object(Bucket="objects", Key="empty", Body=b"")
same(s3.get_object(Bucket="objects", Key="empty")["Body"].read(), b"")

# Pieces of it.
for wanted, piece, shown in [
    ("bytes=0-3", b"0123", "bytes 0-3/10"),
    ("bytes=8-", b"89", "bytes 8-9/10"),
    ("bytes=-3", b"789", "bytes 7-9/10"),
    ("bytes=5-100", b"56789", "bytes 5-9/10"),
]:
    got = s3.get_object(Bucket="objects", Key="a/b.txt", Range=wanted)
    same((got["Body"].read(), got["ContentRange"]), (piece, shown))
    same(got["ResponseMetadata"]["HTTPStatusCode"], 206)
refused(416, "InvalidRange", s3.get_object, Bucket="objects", Key="a/b.txt", Range="bytes=10-")

# Conditions.
other = '"' + "0" * 32 + '"'
there = {"Bucket": "objects", "Key": "a/b.txt"}
same(s3.get_object(**there, IfMatch=tag)["Body"].read(), body)
refused(412, "PreconditionFailed", s3.get_object, **there, IfMatch=other)
refused(304, "304|NotModified", s3.get_object, **there, IfNoneMatch=tag)
refused(304, "304|NotModified", s3.head_object, **there, IfModifiedSince=head["LastModified"])
refused(412, "PreconditionFailed", s3.put_object, **there, Body=b"x", IfNoneMatch="*")
refused(412, "PreconditionFailed", s3.put_object, **there, Body=b"x", IfMatch=other)
same(s3.get_object(**there)["Body"].read(), body)
s3.put_object(Bucket="objects", Key="new", Body=b"new", IfNoneMatch="*")
s3.put_object(**there, Body=body, IfMatch=tag)

# Copies: with the metadata, or with other.
s3.put_object(**there, Body=body, ContentType="text/plain", Metadata={"owner": "ada"})
source = {"Bucket": "objects", "Key": "a/b.txt"}
s3.copy_object(Bucket="objects", Key="copy", CopySource=source)
copy = s3.head_object(Bucket="objects", Key="copy")
same((copy["ETag"], copy["ContentType"], copy["Metadata"]), (tag, "text/plain", {"owner": "ada"}))
s3.copy_object(
    Bucket="objects",
    Key="copy",
    CopySource=source,
    MetadataDirective="REPLACE",
    ContentType="text/csv",
    Metadata={"owner": "bob"},
)
copy = s3.head_object(Bucket="objects", Key="copy")
same((copy["ContentType"], copy["Metadata"]), ("text/csv", {"owner": "bob"}))
refused(404, "NoSuchKey", s3.copy_object, Bucket="objects", Key="x", CopySource={"Bucket": "objects", "Key": "no"})

# Checksums that the client asks for are checked.
s3.put_object(Bucket="objects", Key="summed", Body=body, ChecksumAlgorithm="SHA256")
refused(
    400,
    "BadDigest|InvalidDigest|InvalidRequest|XAmzContentChecksumMismatch",
    s3.put_object,
    Bucket="objects",
    Key="wrong",
    Body=body,
    ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==",
)
refused(404, "404", s3.head_object, Bucket="objects", Key="wrong")

# What is not there, and whose it is not.
refused(404, "NoSuchKey", s3.get_object, Bucket="objects", Key="nothing")
refused(404, "NoSuchBucket", s3.get_object, Bucket="nowhere", Key="nothing")
refused(404, "NoSuchBucket", s3.put_object, Bucket="nowhere", Key="x", Body=b"")
refused(403, "SignatureDoesNotMatch", client(secret="wrong").list_buckets)
refused(400, "KeyTooLongError|InvalidArgument|InvalidObjectName", s3.put_object, Bucket="objects", Key="k" * 1025, Body=b"")

# Deletes: of what is there or not, one or many, the bucket last.
s3.delete_object(Bucket="objects", Key="nothing")
s3.delete_object(Bucket="objects", Key="new")
refused(404, "404", s3.head_object, Bucket="objects", Key="new")
refused(409, "BucketNotEmpty", s3.delete_bucket, Bucket="objects")
keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket="objects")["Contents"]]
gone = s3.delete_objects(Bucket="objects", Delete={"Objects": [{"Key": key} for key in [*keys, "nothing"]]})
same(sorted(entry["Key"] for entry in gone["Deleted"]), sorted([*keys, "nothing"]))
s3.delete_bucket(Bucket="objects")
refused(404, "404|NoSuchBucket", s3.head_bucket, Bucket="objects")
