"""Which container image a cluster is to run: the one that was named, at the commit that is here."""

import re
import subprocess
from pathlib import Path

from datasets.errors import UserError

# As https://github.com/distribution/reference has it, but for the registry, which Docker would fill in by itself.
_REGISTRY = r"(?=localhost[:/]|[^/]*[.:])[a-z0-9][a-z0-9.-]*(:[0-9]+)?"
_PATH = r"(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_IMAGE = re.compile(rf"(?P<name>{_REGISTRY}{_PATH})(:(?P<tag>{_TAG}))?(?P<digest>@sha256:[0-9a-f]{{64}})?")
_TPU = "-tpu"


def image_of(name: str, tpu: bool, root: Path, allow_dirty: bool) -> str:
    """Returns the image to run: `name` with the commit as its tag, where it has none, and '-tpu' after a TPU's.

    Args:
      name: REGISTRY/NAME, REGISTRY/NAME:TAG, or either with a digest, which names one image for good.
      tpu: whether the image is to hold TensorFlow's build for TPUs.
      root: the project's checkout, asked for its commit when `name` has neither tag nor digest.
      allow_dirty: takes COMMIT-dirty for a checkout with changes instead of refusing it.

    Raises:
      UserError: when `name` is no image's, when a TPU's is asked of a digest, or when there is no commit to name.
    """
    match = _IMAGE.fullmatch(name)
    if not match:
        raise UserError(
            "cluster.image: expected REGISTRY/NAME or REGISTRY/NAME:TAG in lower case, as in "
            f"europe-docker.pkg.dev/PROJECT/REPOSITORY/photos or localhost:5000/photos; received {name!r}"
        )
    if match["digest"]:
        if tpu:
            raise UserError(
                "cluster.image: expected no digest with a trainer on TPUs, since the other nodes run another image; "
                f"received {name!r}. Give REGISTRY/NAME, or a tag: a TPU's image is that tag with {_TPU!r} at its end"
            )
        return name
    tag = (match["tag"] or _commit(root, allow_dirty)) + (_TPU if tpu else "")
    if not re.fullmatch(_TAG, tag):
        raise UserError(
            f"cluster.image: expected a tag of at most {128 - len(_TPU)} characters for a TPU; received {name!r}"
        )
    return f"{match['name']}:{tag}"


def _commit(root: Path, allow_dirty: bool) -> str:
    """Returns the first twelve digits of the commit that is checked out, with '-dirty' if files differ from it."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain").splitlines()
    if not changes:
        return commit
    if allow_dirty:
        return f"{commit}-dirty"
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    raise UserError(
        f"cluster.image: expected a checkout without changes, so that its commit {commit} names the image; received "
        f"changes in {', '.join(line[3:] for line in changes[:3])}{more}. Commit or stash them, or give the image a tag"
    )


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise UserError(
            f"cluster.image: expected a git checkout with a commit in {root}, to name the image by; "
            f"received {reason!r}. Give the image a tag: REGISTRY/NAME:TAG"
        ) from None
    return done.stdout.strip("\n")
