"""The server's settings; `serving.__main__` makes them from the flags."""

from pathlib import Path
from typing import NamedTuple

SETTINGS = "PHOTO_SERVING_SETTINGS"  # the variable with the settings of a worker, as JSON


class Share(NamedTuple):
    """A share of the requests, 0 to 1, and the alias of the version that computes them."""

    alias: str
    share: float


class Settings(NamedTuple):
    """The settings of one server.

    Attributes:
      model: the folder of the versions, such as `runs/pushed/NAME`, or of one version.
      name: the model's name in URLs.
      host: the address to bind.
      port: the port; 0 for any free port.
      workers: the number of processes.
      max_batch: the largest number of photos in one call of the model.
      max_queue: the largest number of photos that wait for a call, in each worker.
      max_body_mb: the largest body of a request, in MiB.
      timeout_s: seconds after which a request is answered with 503.
      poll_s: seconds between two looks for new versions.
      grpc_port: the port of gRPC; 0 for any free port; None for no gRPC.
      token_file: the file of the bearer token that requests must have; None for no token.
      keep: the folder where a sample of the answers is kept; None for none.
      keep_share: the fraction of the photos whose answers are kept, 0 to 1.
      keep_mb: the largest size of the folder, in MiB.
      keep_photos: whether the photos are kept, too.
      canary: of the requests that name no version and no label, those that an alias's version answers; None for none.
      shadow: of the requests that the default version answers, those that an alias's version computes afterwards, and
        whose predictions are only counted; None for none.
    """

    model: str
    name: str
    host: str = "127.0.0.1"
    port: int = 8501
    workers: int = 1
    max_batch: int = 32
    max_queue: int = 512
    max_body_mb: int = 32
    timeout_s: float = 30.0
    poll_s: float = 2.0
    grpc_port: int | None = None
    token_file: Path | None = None
    keep: Path | None = None
    keep_share: float = 0.01
    keep_mb: int = 1024
    keep_photos: bool = False
    canary: Share | None = None
    shadow: Share | None = None
