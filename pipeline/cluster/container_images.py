"""Names the container image that a cluster runs: the given name, tagged with the checked-out commit."""

import re
import subprocess
from pathlib import Path

from errors import UserError, quoted

# The grammar of https://github.com/distribution/reference, but the registry is required (Docker would add Docker Hub).
_REGISTRY = r"(?=localhost[:/]|[^/]*[.:])[a-z0-9][a-z0-9.-]*(:[0-9]+)?"
_PATH = r"(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_IMAGE = re.compile(rf"(?P<name>{_REGISTRY}{_PATH})(:(?P<tag>{_TAG}))?(?P<digest>@sha256:[0-9a-f]{{64}})?")


def image_of(name: str, kind: str, root: Path, allow_dirty: bool) -> str:
    """Returns the image to run: REGISTRY/NAME:TAG, with '-gpu' or '-tpu' at the end for these devices.

    Args:
      name: REGISTRY/NAME, REGISTRY/NAME:TAG, or either with a digest.
      kind: the image's devices, 'cpu', 'gpu' or 'tpu'.
      root: the project's checkout; its commit is the tag if `name` has no tag and no digest.
      allow_dirty: returns COMMIT-dirty for a checkout with uncommitted changes, instead of raising.

    Raises:
      UserError: when `name` is invalid, has a digest although `kind` is not 'cpu', or when there is no commit.
    """
    suffix = "" if kind == "cpu" else f"-{kind}"
    match, received = _IMAGE.fullmatch(name), quoted(name)
    if not match:
        raise UserError(
            "cluster.image: expected REGISTRY/NAME or REGISTRY/NAME:TAG in lower case with the registry's host, for "
            "example europe-docker.pkg.dev/PROJECT/REPOSITORY/photos, localhost:5000/photos or, on Docker Hub, "
            "docker.io/USER/photos; "
            f"received {received}"
        )
    if match["digest"]:
        if suffix:
            raise UserError(
                f"cluster.image: expected no digest with a trainer on a {kind.upper()}, because the trainer and the "
                f"other nodes run different images; received {received}. Give REGISTRY/NAME or REGISTRY/NAME:TAG; the "
                f"trainer's tag then ends with {suffix!r}"
            )
        return name
    tag = (match["tag"] or _commit(root, allow_dirty)) + suffix
    if not re.fullmatch(_TAG, tag):
        raise UserError(f"cluster.image: expected a tag of at most {128 - len(suffix)} characters; received {received}")
    return f"{match['name']}:{tag}"


def _commit(root: Path, allow_dirty: bool) -> str:
    """Returns the first twelve digits of the checked-out commit, with '-dirty' if there are uncommitted changes."""
    commit = _git(root, "rev-parse", "--short=12", "HEAD")
    changes = _git(root, "status", "--porcelain").splitlines()
    if not changes:
        return commit
    if allow_dirty:
        return f"{commit}-dirty"
    more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
    raise UserError(
        f"cluster.image: expected a checkout without changes, because the image's tag is its commit {commit}; received "
        f"changes in {', '.join(line[3:] for line in changes[:3])}{more}. Commit or stash them, or give the image a tag"
    )


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)  # noqa: S603, S607
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[0]
        raise UserError(
            f"cluster.image: expected a git checkout with a commit in {root}, because the image's tag is the commit; "
            f"received {reason!r}. Give the image a tag: REGISTRY/NAME:TAG"
        ) from None
    return done.stdout.strip("\n")
