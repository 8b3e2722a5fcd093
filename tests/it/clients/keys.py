"""Keys of every legal shape, and listings of them."""

from kit import client, same

s3 = client()
s3.create_bucket(Bucket="keys")

ODD = [
    "a b/c+d.txt",
    "a%2Fb.txt",
    "100%.txt",
    "a&b=c;d?e#f.txt",
    "café/Ünï/日本語/😀.txt",
    "quote\"'`<>.txt",
    "tab\tand\nline",
    "back\\slash",
    "../../etc/passwd",
    "/absolute",
    "a//b",
    "a/./b",
    "a/../b",
    "marker/",
    "~*()!$,:@",
    "k" * 1024,
    "é" * 512,
]
for key in ODD:
    s3.put_object(Bucket="keys", Key=key, Body=key.encode())
for key in ODD:
    same(s3.get_object(Bucket="keys", Key=key)["Body"].read(), key.encode())
by_bytes = sorted(ODD, key=lambda key: key.encode())


def listed(**how):
    """All keys, page by page."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="keys", **how)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


same(listed(), by_bytes)
same(listed(PaginationConfig={"PageSize": 3}), by_bytes)
first = s3.list_objects(Bucket="keys", MaxKeys=5)
same(([entry["Key"] for entry in first["Contents"]], first["IsTruncated"]), (by_bytes[:5], True))
rest = s3.list_objects(Bucket="keys", Marker=by_bytes[4])
same([entry["Key"] for entry in rest["Contents"]], by_bytes[5:])
same(listed(Prefix="a"), [key for key in by_bytes if key.startswith("a")])
same(listed(StartAfter="a/./b"), [key for key in by_bytes if key.encode() > b"a/./b"])
copied = s3.copy_object(Bucket="keys", Key="copy of + 😀", CopySource={"Bucket": "keys", "Key": "a b/c+d.txt"})
same(s3.get_object(Bucket="keys", Key="copy of + 😀")["Body"].read(), b"a b/c+d.txt")
s3.delete_object(Bucket="keys", Key="copy of + 😀")

# Folders, as a browser shows them.
top = s3.list_objects_v2(Bucket="keys", Delimiter="/")
folders = sorted({key.split("/")[0] + "/" for key in ODD if "/" in key}, key=lambda key: key.encode())
same([entry["Prefix"] for entry in top["CommonPrefixes"]], folders)
same([entry["Key"] for entry in top["Contents"]], [key for key in by_bytes if "/" not in key])
below = s3.list_objects_v2(Bucket="keys", Prefix="a/", Delimiter="/")
same([entry["Prefix"] for entry in below["CommonPrefixes"]], ["a/../", "a/./", "a//"])

# 1,200 keys, in pages of a thousand, folders counted.
for n in range(1200):
    s3.put_object(Bucket="keys", Key=f"many/{n % 50:02}/{n:04}", Body=b"")
same(len(listed(Prefix="many/")), 1200)
same(len(listed(Prefix="many/07/")), 24)
page = s3.list_objects_v2(Bucket="keys", Prefix="many/", Delimiter="/", MaxKeys=20)
same((page["KeyCount"], page["IsTruncated"], page["CommonPrefixes"][-1]["Prefix"]), (20, True, "many/19/"))
more = s3.list_objects_v2(
    Bucket="keys", Prefix="many/", Delimiter="/", ContinuationToken=page["NextContinuationToken"]
)
same((more["KeyCount"], more["CommonPrefixes"][0]["Prefix"], more["IsTruncated"]), (30, "many/20/", False))
