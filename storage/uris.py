"""The URIs of buckets: SCHEME://BUCKET/KEY, where a key's parts are separated by single slashes.

MinIO refuses keys with an empty part, '.' or '..'; other programs resolve these parts, or end the key at '#'. Bucket
names are those that Cloud Storage and S3 accept. So no URI has a port or a password.
"""

import re
from typing import NamedTuple

from errors import shortened

SCHEMES = ("gs", "s3", "minio")
_BUCKET = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?"
_PART = r"(?!\.{1,2}(?:/|\Z))[^/#\x00-\x1f\x7f]+"
_URI = re.compile(rf"({'|'.join(SCHEMES)})://({_BUCKET})(?:/({_PART}(?:/{_PART})*))?/?")


class Uri(NamedTuple):
    """The parts of a URI; `key` is empty for a whole bucket, and has no slash at its end."""

    scheme: str
    bucket: str
    key: str


def parse(text: str) -> Uri | None:
    """Returns the parts of a URI, which may have one slash at its end; None if this is no URI of a bucket.

    >>> parse("gs://bucket/a folder/"), parse("s3://key:password@bucket/a"), parse("minio://bucket//a")
    (Uri(scheme='gs', bucket='bucket', key='a folder'), None, None)
    """
    match = _URI.fullmatch(text)
    return Uri(match[1], match[2], match[3] or "") if match else None


def without_slash(text: str) -> str:
    """Returns the URI of a bucket without a slash at its end; other texts do not change.

    >>> without_slash("gs://bucket/root/"), without_slash("http://host/"), without_slash("/a/path/")
    ('gs://bucket/root', 'http://host/', '/a/path/')
    """
    return text.removesuffix("/") if parse(text) else text


def shown(text: str) -> str:
    """Returns a text that is not a URI for an error message: printable, and without a user and password.

    >>> shown("s3://key:pass/word@bucket/a")
    's3://…@bucket/a'
    """
    return shortened(repr(re.sub("://.*@", "://…@", text, flags=re.DOTALL))[1:-1])
