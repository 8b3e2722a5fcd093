"""What the scripts share: clients of the endpoint in S3_ENDPOINT, and how a refusal is checked."""

import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

ENDPOINT = os.environ["S3_ENDPOINT"]


def client(secret=None, **settings):
    """A client with the defaults of boto3, but for the endpoint."""
    config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}, **settings)
    return boto3.client(
        "s3",
        endpoint_url=ENDPOINT,
        region_name="us-east-1",
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=secret or os.environ["S3_SECRET_KEY"],
        config=config,
    )


def same(found, wanted):
    """They are equal."""
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


def refused(status, codes, call, *args, **kwargs):
    """The call is refused with this status, and one of these codes."""
    try:
        answer = call(*args, **kwargs)
    except ClientError as error:
        got = (error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"])
        assert got[0] == status and got[1] in codes.split("|"), f"got {got}, wanted {status} {codes}"
        return
    raise AssertionError(f"not refused ({status} {codes}): {answer}")
