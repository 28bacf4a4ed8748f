"""Which container image a cluster is to run: the one that was named, at the commit that is here."""

import re
import subprocess
from pathlib import Path

from errors import UserError, quoted

# As https://github.com/distribution/reference has it, but for the registry, which Docker would fill in by itself.
_REGISTRY = r"(?=localhost[:/]|[^/]*[.:])[a-z0-9][a-z0-9.-]*(:[0-9]+)?"
_PATH = r"(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)+"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_IMAGE = re.compile(rf"(?P<name>{_REGISTRY}{_PATH})(:(?P<tag>{_TAG}))?(?P<digest>@sha256:[0-9a-f]{{64}})?")


def image_of(name: str, kind: str, root: Path, allow_dirty: bool) -> str:
    """Returns the image to run: `name` with the commit as its tag, where it has none, and its kind, if not a CPU's.

    Args:
      name: REGISTRY/NAME, REGISTRY/NAME:TAG, or either with a digest, which names one image for good.
      kind: the devices that it is for, 'cpu', 'gpu' or 'tpu'.
      root: the project's checkout, asked for its commit when `name` has neither tag nor digest.
      allow_dirty: takes COMMIT-dirty for a checkout with changes instead of refusing it.

    Raises:
      UserError: when `name` is no image's, when a GPU's or TPU's is asked of a digest, or when there is no commit.
    """
    end = "" if kind == "cpu" else f"-{kind}"
    match, received = _IMAGE.fullmatch(name), quoted(name)
    if not match:
        raise UserError(
            "cluster.image: expected REGISTRY/NAME or REGISTRY/NAME:TAG in lower case, with the registry's host, as in "
            f"europe-docker.pkg.dev/PROJECT/REPOSITORY/photos or localhost:5000/photos; received {received}"
        )
    if match["digest"]:
        if end:
            raise UserError(
                f"cluster.image: expected no digest with a trainer on a {kind.upper()}, since the other nodes run "
                f"another image; received {received}. Give REGISTRY/NAME, or a tag: the trainer's is that with {end!r} "
                "at its end"
            )
        return name
    tag = (match["tag"] or _commit(root, allow_dirty)) + end
    if not re.fullmatch(_TAG, tag):
        raise UserError(f"cluster.image: expected a tag of at most {128 - len(end)} characters; received {received}")
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
