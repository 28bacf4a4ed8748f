"""Makes what the settings name be there on disk: data and weights, checked, before anything heavy starts."""

from pathlib import Path

from platformdirs import user_cache_path

from datasets import download, public, records, sample
from datasets.errors import UserError
from datasets.records import Shard

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
NPZ_MAGIC = b"PK\x03\x04"


def cache_folder() -> Path:
    """Returns the folder for downloads and drawings, the user's cache folder of this project."""
    return user_cache_path("tfx-photo-pipeline")


def prepare_data(source: str | None, directory: Path | None, pattern: str, image_size: int) -> tuple[Path, list[Shard]]:
    """Returns the absolute folder of TFRecords, made or fetched if need be and checked, and its shards.

    Raises:
      UserError: when it is missing, empty, damaged or cannot be fetched.
    """
    if directory is None and source is None:
        raise UserError("no data: give a folder of TFRecords (--data DIR), or set data.source to sample or flowers")
    if directory is None:
        cache = cache_folder()
        directory = sample.ensure(cache) if source == "sample" else public.ensure_flowers(cache, image_size)
    directory = directory.expanduser().resolve()
    return directory, records.check_folder(directory, pattern)


def check_split(shards: int, split: str, eval_fraction: float) -> None:
    """Checks that a split by shards leaves some for training.

    Raises:
      UserError: when every shard would be held out.
    """
    held_out = records.held_out_shards(shards, eval_fraction)
    if split == "shards" and shards <= held_out:
        fewer = "hold out fewer (data.eval_fraction) or " if shards > 1 else ""
        raise UserError(
            f"{held_out} of {shards} shards would be held out for evaluation: none is left to train on; {fewer}split "
            "by record (--set data.split=hash)"
        )


def prepare_weights(weights: str | None, sha256: str | None) -> Path | None:
    """Returns the absolute weights file that `model.weights` names ('imagenet', a file, or None).

    Raises:
      UserError: when it is missing, neither HDF5 nor .npz, or of another checksum than `sha256`.
    """
    if weights is None:
        return None
    if weights == "imagenet":
        return public.ensure_weights(cache_folder())
    path = Path(weights).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"the weights file {path} does not exist (--weights FILE)")
    with path.open("rb") as file:
        if not file.read(len(HDF5_MAGIC)).startswith((HDF5_MAGIC, NPZ_MAGIC)):
            raise UserError(
                f"the weights file {path} is neither HDF5 nor .npz; expected Keras weights as .h5, .weights.h5 or .npz"
            )
    if sha256 and (received := download.digest(path, "sha256:")) != f"sha256:{sha256}":
        raise UserError(
            f"the weights file {path} is not the expected one: expected sha256:{sha256} (model.weights_sha256), "
            f"received {received}"
        )
    return path
