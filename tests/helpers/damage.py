"""A hypothesis strategy for damaged files, and a file whose reads fail."""

import errno
import io
import os
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st

# the same examples in each run, so that a failure is that of a change
PROPERTY = settings(derandomize=True, deadline=None, max_examples=300)


@st.composite
def damaged(draw: st.DrawFn, contents: Sequence[bytes], most: int = 3) -> tuple[bytes, int]:
    """Returns one of the contents after 1 to `most` changes, and the position before which nothing has changed.

    A change flips bits, overwrites, cuts the end, inserts or removes bytes, or inserts a part of one of the contents.
    """
    content = draw(st.sampled_from(contents))
    first = len(content)
    for _ in range(draw(st.integers(1, most))):
        at = draw(st.integers(0, max(0, len(content) - 1)))
        kind = draw(st.sampled_from(("flip", "overwrite", "cut", "insert", "remove", "splice")))
        new = draw(st.binary(min_size=1, max_size=8))
        if kind == "flip":
            changed = bytes(a ^ b for a, b in zip(content[at : at + len(new)], new, strict=False))
            content = content[:at] + changed + content[at + len(changed) :]
        elif kind == "overwrite":
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "cut":
            content = content[:at]
        elif kind == "insert":
            content = content[:at] + new + content[at:]
        elif kind == "remove":
            content = content[:at] + content[at + len(new) :]
        else:
            other = draw(st.sampled_from(contents))
            start = draw(st.integers(0, len(other)))
            content = content[:at] + other[start : start + draw(st.integers(1, 200))] + content[at:]
        first = min(first, at)
    return content, first


class Interrupted(io.BytesIO):
    """The beginning of a file; the reads after it fail, as when a disk or a network fails."""

    def readinto(self, buffer) -> int:
        """Fills the buffer; raises OSError at the end."""
        count = super().readinto(buffer)
        if not count:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return count
