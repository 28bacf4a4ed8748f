"""`python -m serving manifest`; tests.kubeflow.manifests creates its objects in Kubernetes' own API server."""

import re
import shlex

import pytest
import yaml

from serving import __main__ as serving
from tests.kubeflow import manifests

GS = "--kind deployment --model gs://bkt/pushed/sample"
OWN = "--kind server --model gs://bkt/pushed/sample --image r.io/photos:1"
KSERVE = "--kind kserve --model gs://bkt/pushed/sample"


def _objects():
    return list(filter(None, yaml.safe_load_all(manifests.ACCEPTED.read_text())))


def test_what_is_written_is_what_kubernetes_accepted():
    """After a change of the objects: python -m tests.kubeflow.manifests, which needs git, Go and etcd."""
    assert manifests.written().splitlines() == manifests.ACCEPTED.read_text().splitlines()


def test_each_pod_is_locked_and_limited():
    pods = [each["spec"]["template"]["spec"] for each in _objects() if each["kind"] == "Deployment"]
    models = [each["spec"]["predictor"]["model"] for each in _objects() if each["kind"] == "InferenceService"]
    assert len(pods) == 4 and len(models) == 3
    for pod in pods:
        assert pod["securityContext"]["runAsUser"] and not pod["automountServiceAccountToken"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} < set(pod["containers"][0])
    for container in [*models, *(pod["containers"][0] for pod in pods)]:
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["securityContext"]["readOnlyRootFilesystem"] and container["securityContext"]["runAsNonRoot"]


def test_the_servers_parser_accepts_its_arguments():
    pods = [each["spec"]["template"]["spec"] for each in _objects() if each["kind"] == "Deployment"]
    own = [pod["containers"][0] for pod in pods if pod["containers"][0]["command"][0] == "python"]
    settings = [serving._settings(serving._parser().parse_args(each["args"])) for each in own]
    assert [(each.model, each.name) for each in settings] == [
        ("gs://a-bucket/pushed/own_server", "own-server"),
        ("/models", "own-claimed"),
    ]
    assert {each.port for each in settings} == {own[0]["ports"][0]["containerPort"]}


def test_the_objects_are_written_to_a_file(tmp_path, capsys):
    to = tmp_path / "sample.yaml"
    assert serving.main(["manifest", *shlex.split(GS), "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}: Deployment, Service; next: kubectl apply -f {to}\n"
    assert [each["kind"] for each in yaml.safe_load_all(to.read_text())] == ["Deployment", "Service"]


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("--kind server --model gs://bkt/a", "--image: expected REGISTRY/NAME:TAG or .*, received none"),
        (f"{GS} --image serving", "--image: expected REGISTRY/NAME:TAG or .*, received 'serving'"),
        (f"{KSERVE} --image r.io/a:1", "--image: expected none with --kind kserve"),
        (f"{GS}/17", "--model: expected the folder above gs://bkt/pushed/sample/17"),
        (
            "--kind kserve --model gs://BUCKET/pushed/sample",
            "received gs://BUCKET/pushed/sample. The name of a bucket has 3",
        ),
        ("--kind deployment --model runs/pushed/sample", r"--model: expected gs://BUCKET/FOLDER or pvc://CLAIM/FOLDER"),
        ("--kind deployment --model s3://bkt/a", "received s3://bkt/a. TensorFlow cannot read s3://; give --kind"),
        ("--kind kserve --model pvc://Claim/a", "--model: expected .* received pvc://Claim/a$"),
        ("--kind kserve --model pvc://c/../a", "--model: expected .* received pvc://c/../a$"),
        ("--kind kserve --model gs://key:secret@bkt/a", "received gs://…@bkt/a"),
        (f"{GS} --name 1st", "--name: expected at most 63 .* received '1st'"),
        (f"{GS} --namespace My", "--namespace: expected the name of a namespace, received 'My'"),
        (f"{GS} --service-account a@b.c", "--service-account: expected a name, received 'a@b.c'"),
        (f"{GS} --replicas 0", "--replicas: expected a number from 1 to 1000, received 0"),
        (f"{GS} --cpu nan", "--cpu: expected a number from 0.1 to 1000, received nan"),
        (f"{GS} --memory-gb 1e9", r"--memory-gb: expected a number from 0.1 to 10000, received 1e\+09"),
        (f"{KSERVE}/17 --canary 101", "--canary: expected a percentage, 0 to 100 of the requests; received 101"),
        (f"{KSERVE} --canary 5", "--canary: expected --kind kserve and --model with the folder of one version"),
        (f"{OWN} --canary 5", "--canary: expected --kind kserve and"),
        (f"{OWN} --to /no/such/folder.yaml", "--to: cannot write /no/such/folder.yaml: No such file"),
    ],
)
def test_a_wrong_flag_is_one_plain_line(flags, says, capsys):
    code = serving.main(["manifest", *shlex.split(flags)])
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    assert re.search(says, told.err, re.MULTILINE), told.err
    assert told.err.count("\n") == 1
