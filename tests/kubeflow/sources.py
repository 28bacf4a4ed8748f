"""Gets Kubeflow Pipelines' source of one version, and builds programs from it.

The source comes from the project's public repository, or from the local clone that KFP_SOURCE names. Go and git are
needed. Go's modules come from GOPROXY. Everything is kept in ${XDG_CACHE_HOME:-~/.cache}/tfx-photo-pipeline/kubeflow.
"""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

BACKEND = Path(__file__).parent / "backend"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tfx-photo-pipeline" / "kubeflow"
REPOSITORY = "https://github.com/kubeflow/pipelines.git"
# Each version's commit, because a tag can be moved.
VERSIONS = {
    "2.4.1": "242d025285c4b092aa561947d45feb67938a102d",
    "2.5.0": "d07cf1c7f9bd163091986de9bb723c4078c498b1",
    "2.15.0": "8fe8d7bdd88f027bde080f619762a0b3294796db",
    "2.17.0": "4a3592cb2dd0a91a4652ab93893ec8beda1f3158",
}
KSERVE = ("v0.20.0", "1fb781055dd1567164358233e1125142ca6ef1fe")  # the tag and its commit
_MODULE = "github.com/kubeflow/pipelines"
_SEPARATE = ("api", "kubernetes_platform", "third_party/ml-metadata")  # modules in folders of the same repository


def compiler(version: str) -> Path:
    """Returns the program that prints what this version's backend makes of a file (backend/main.go)."""
    folder = source(version)
    own = folder / "backend" / "src" / "proof"
    own.mkdir(exist_ok=True)
    shutil.copy(BACKEND / "main.go", own)
    shutil.copy(BACKEND / "driver.go", folder / "backend" / "src" / "v2" / "driver" / "proof.go")
    if (folder / "backend" / "src" / "apiserver" / "config" / "proxy").is_dir():
        shutil.copy(BACKEND / "proxy.go", own)
    return build(folder, "./backend/src/proof", f"proof-{version}")


def api_server(version: str) -> Path:
    """Returns the API server of a version, changed in one expression: its internal port is only on 127.0.0.1."""
    folder = source(version)
    main = folder / "backend" / "src" / "apiserver" / "main.go"
    main.write_text(main.read_text().replace('"localhost" + *rpcPortFlag', "*rpcPortFlag"))
    return build(folder, "./backend/src/apiserver", f"api-server-{version}")


def pod_programs(version: str) -> dict[str, Path]:
    """Returns the programs that run in a version's pods, by the names that its workflows call, unchanged."""
    return {
        name: build(source(version), f"./backend/src/v2/cmd/{name}", f"{name}-{version}")
        for name in ("driver", "launcher-v2")
    }


def source(version: str) -> Path:
    """Returns the folder with a version's source; gets it if it is missing.

    Raises:
      SystemExit: if the version's tag does not name the expected commit.
    """
    folder = CACHE / version
    if not (folder / "go.mod").is_file():
        _check_out(version, folder)
    for part in _SEPARATE:
        run(["go", "mod", "edit", f"-replace={_MODULE}/{part}=./{part}"], folder)
    return folder


def _check_out(version: str, folder: Path) -> None:
    run(["git", "init", "--quiet", folder])
    repository = os.environ.get("KFP_SOURCE", REPOSITORY)
    run(["git", "fetch", "--quiet", "--depth=1", repository, f"refs/tags/{version}"], folder)
    commit = run(["git", "rev-parse", "FETCH_HEAD^{commit}"], folder).strip()
    if commit != VERSIONS[version]:
        raise SystemExit(f"Kubeflow Pipelines {version}: expected commit {VERSIONS[version]}, received {commit}")
    run(["git", "checkout", "--quiet", commit], folder)


def kserve_definition() -> str:
    """Returns KServe's definition of InferenceService; KSERVE_SOURCE names a local clone with the tag.

    Raises:
      SystemExit: if the tag does not name the expected commit.
    """
    tag, expected = KSERVE
    folder = CACHE / f"kserve-{tag}"
    if not folder.is_dir():
        local = os.environ.get("KSERVE_SOURCE")
        repository = Path(local).absolute().as_uri() if local else "https://github.com/kserve/kserve.git"
        options = ["--depth=1", "--filter=blob:none", "--no-checkout", f"--branch={tag}"]
        run(["git", "clone", "--quiet", *options, repository, folder])
    commit = run(["git", "rev-parse", "HEAD"], folder).strip()
    if commit != expected:
        raise SystemExit(f"KServe {tag}: expected commit {expected}, received {commit}")
    return run(["git", "show", "HEAD:config/crd/full/serving.kserve.io_inferenceservices.yaml"], folder)


def build(folder: Path, package: str, name: str) -> Path:
    """Builds a Go program in the folder of its module, and returns it."""
    program = CACHE / "bin" / name
    run(["go", "build", "-mod=mod", "-buildvcs=false", "-p=2", "-o", program, package], folder)
    return program


def run(command: Iterable[object], folder: Path | None = None) -> str:
    """Returns what a command prints; shows the command's errors.

    Raises:
      SystemExit: if the program is missing, or the command fails.
    """
    words = [str(word) for word in command]
    if not shutil.which(words[0]):
        raise SystemExit(f"{words[0]} is missing; tests/kubeflow/README.md lists what is needed")
    done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"failed with exit code {done.returncode}: {' '.join(words)}")
    return done.stdout
