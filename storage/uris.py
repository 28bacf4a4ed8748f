"""The URIs of buckets: SCHEME://BUCKET/KEY, where a key's parts are separated by single slashes.

MinIO refuses keys with an empty part, '.' or '..'; other programs resolve these parts, or end the key at '#'. Bucket
names are those that Cloud Storage or S3 accepts. So no URI has a port or a password.
"""

import argparse
import re
from pathlib import Path
from typing import NamedTuple

from errors import shortened

SCHEMES = ("gs", "s3", "minio")
_LABEL = "[a-z0-9_-]{1,63}"
# no address of IPv4; 3 to 63 characters, or with dots, as in Cloud Storage, at most 222
_BUCKET = rf"(?!\d+(?:\.\d+){{3}}(?:/|\Z))(?=[a-z0-9][^/]{{1,220}}[a-z0-9](?:/|\Z)){_LABEL}(?:\.{_LABEL})*"
_RULE = "The name of a bucket has 3 to 63 lower-case letters, digits and . _ -, and no IP address"
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


def local_path(text: str) -> Path:
    """Returns a flag's path. Path would make the folder 's3:' of a URI.

    Raises:
      argparse.ArgumentTypeError: when the text is a URI.
    """
    if "://" in text:
        raise argparse.ArgumentTypeError(f"expected a path on this machine, received the URI {shown(text)}")
    return Path(text)


def rule(text: str) -> str:
    """Returns the rule for the name of a bucket, as the end of an error, if a text is a URI that breaks it, else ''."""
    scheme, _, rest = text.partition("://")
    return f". {_RULE}" if scheme in SCHEMES and not re.fullmatch(_BUCKET, rest.partition("/")[0]) else ""


def shown(text: str) -> str:
    """Returns a text that is not a URI for an error message: printable, and without a user and password.

    >>> shown("s3://key:pass/word@bucket/a")
    's3://…@bucket/a'
    """
    return shortened(repr(re.sub("://.*@", "://…@", text, flags=re.DOTALL))[1:-1])
