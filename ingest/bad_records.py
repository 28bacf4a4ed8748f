"""A record that cannot be used: ExampleGen writes it to the quarantine, and `ingest.quarantine` reads it there."""

from typing import NamedTuple

from ingest.names import printable


class BadRecord(NamedTuple):
    """A record that cannot be used.

    Attributes:
      source: the record file, relative to the data folder.
      record: the position in the file, counted from 0.
      reason: a short text, by which records are counted.
      detail: what was expected and received.
      filename: the photo's file, if the record names it.
      lost: the estimated number of records after this one that cannot be read.
      data: the record as it was read.
    """

    source: str
    record: int
    reason: str
    detail: str
    filename: str = ""
    lost: int = 0
    data: bytes = b""

    @property
    def place(self) -> str:
        """The record file and the position, with the photo's file if it is known."""
        place = f"{self.source} record {self.record}"
        return printable(f"{place} ({self.filename})" if self.filename else place)
