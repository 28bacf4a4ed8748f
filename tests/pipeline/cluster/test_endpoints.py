"""Deploys to, divides and rolls back an endpoint of a local imitation of Vertex AI, with the real SDK."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kubeflow_runner
from components import endpoint as deployment
from components import pushing
from errors import UserError
from lineage.remote import calls
from pipeline.cluster import deployment as deployment_settings
from pipeline.cluster import endpoints, targets
from pipeline.cluster.errors import SubmissionFailed
from pipeline.config import Config, Deployment
from tests.helpers import stubs
from tests.helpers.stubs import refusal
from tests.helpers.vertex_endpoints import VertexEndpoints

PARENT = "projects/a-project/locations/us-central1"


@pytest.fixture
def service(monkeypatch) -> Iterator[VertexEndpoints]:
    monkeypatch.setattr(calls, "FIRST_WAIT_S", 0.02)
    with stubs.serving(VertexEndpoints()) as server:
        stubs.point_vertex_sdk_at(server, monkeypatch)
        yield server


def _deploy(version, **changes):
    settings = {"project": "a-project", "region": "us-central1", "name": "sample", "service_account": None}
    settings |= Deployment(endpoint="photos", **changes).model_dump()
    return pushing._deploy(f"gs://a-bucket/pushed/sample/{version}", settings)


def _find():
    return endpoints.find("photos", "a-project", "us-central1")


def _split(service):
    return service.endpoints["10"]["trafficSplit"]


@given(st.dictionaries(st.sampled_from("abcdefg"), st.integers(1, 100), min_size=1), st.integers(0, 100))
def test_shares_add_up_to_100(now, percent):
    result = deployment.shares(now, "0", percent)
    assert sum(result.values()) == 100 and min(result.values()) >= 0
    assert result["0"] == percent and result.keys() == {*now, "0"}
    total, rest = sum(now.values()), 100 - percent
    assert all(abs(result[key] - rest * share / total) < 1 for key, share in now.items())


def test_the_first_model_creates_the_endpoint_and_gets_all_requests(service):
    names = _deploy(1, traffic=10, min_replicas=2, max_replicas=3, machine_type="n2-standard-8")
    assert names["endpoint"] == f"{PARENT}/endpoints/10" and names["endpoint_model"] == f"{PARENT}/models/20@1"
    (deployed,) = service.endpoints["10"]["deployedModels"]
    assert deployed["id"] == names["deployed_model"] and deployed["model"] == names["endpoint_model"]
    resources = deployed["dedicatedResources"]
    assert resources["machineSpec"] == {"machineType": "n2-standard-8"}
    assert (resources["minReplicaCount"], resources["maxReplicaCount"]) == (2, 3)
    assert service.models["20"]["artifactUri"] == "gs://a-bucket/pushed/sample/1"
    assert service.models["20"]["containerSpec"]["imageUri"] == Deployment().image
    assert list(_split(service).values()) == [100]


def test_a_canary_gets_its_share_and_can_be_rolled_back(service, capsys):
    first, second = _deploy(1)["deployed_model"], _deploy(2, traffic=10)["deployed_model"]
    assert _split(service) == {first: 90, second: 10}
    assert list(service.models) == ["20"] and service.models["20"]["versionId"] == "2"
    endpoints.roll_back(_find())
    assert _split(service) == {first: 100}
    endpoints.show(endpoints.divide(_find(), {first: 25, second: 75}))
    assert "25 %" in capsys.readouterr().out.splitlines()[1]
    assert endpoints.undeploy(_find()) == 0
    endpoints.roll_back(_find())
    assert endpoints.undeploy(_find()) == 1
    assert [each["id"] for each in service.endpoints["10"]["deployedModels"]] == [first]
    assert capsys.readouterr().out == f"undeployed {second}, version 2\n"
    with pytest.raises(UserError, match="expected a model that was deployed before the latest with requests"):
        endpoints.roll_back(_find())
    assert _split(service) == {first: 100}


def test_a_change_between_reading_and_writing_is_refused(service):
    first, second = _deploy(1)["deployed_model"], _deploy(2)["deployed_model"]
    seen = _find()
    endpoints.divide(_find(), {first: 50, second: 50})
    assert "answered 409" in refusal(SubmissionFailed, lambda: endpoints.roll_back(seen))
    assert _split(service) == {first: 50, second: 50}


@pytest.mark.parametrize(
    ("shares", "says"),
    [({"7": 100}, "expected deployed models of"), ({"": 99}, "add up to 100, received 99")],
)
def test_wrong_shares_are_refused(service, shares, says):
    model = _deploy(1)["deployed_model"]
    shares = {key or model: value for key, value in shares.items()}
    assert says in refusal(UserError, lambda: endpoints.divide(_find(), shares))


def test_an_unknown_endpoint_is_named(service):
    assert "received 'photos'; check its name" in refusal(UserError, _find)


@pytest.mark.parametrize(
    ("fault", "advice"),
    [(403, "the role 'Vertex AI User'"), (429, "ask for more quota"), (404, "check cluster.deployment")],
)
def test_a_refused_deployment_says_what_to_do(service, fault, advice):
    service.faults = iter(itertools.repeat(fault))
    said = refusal(UserError, lambda: _deploy(1))
    assert said.startswith("pushed to gs://a-bucket/pushed/sample/1, but not deployed to endpoint photos: ")
    assert advice in said


def test_a_lost_connection_is_one_line(monkeypatch):
    with stubs.serving(VertexEndpoints()) as server:
        stubs.point_vertex_sdk_at(server, monkeypatch)
    said = refusal(UserError, lambda: _deploy(1))
    assert "not deployed to endpoint photos: " in said and said.endswith("; the next run deploys its model")


def test_a_rehearsal_on_this_machine_deploys_nothing(service):
    assert pushing._deploy("/tmp/pushed/sample/1", {"endpoint": "photos"}) == {}
    assert not service.request_counts


def test_the_command_divides_rolls_back_and_undeploys(service, capsys):
    first, second = _deploy(1)["deployed_model"], _deploy(2, traffic=10)["deployed_model"]
    where = ["photos", "--project", "a-project", "--region", "us-central1"]
    assert kubeflow_runner.main(["endpoint", "divide", *where[:1], f"{first}=40", f"{second}=60", *where[1:]]) == 0
    assert _split(service) == {first: 40, second: 60}
    assert kubeflow_runner.main(["endpoint", "rollback", *where]) == 0
    assert kubeflow_runner.main(["endpoint", "undeploy", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-4:-2] == [f"undeployed {second}, version 2", "undeployed models without requests: 1"]
    assert lines[-1].startswith(f" 100 %  {first}  version 1  model 20@1")


@pytest.mark.parametrize(
    ("words", "says"),
    [(["divide"], "only with divide; received divide"), (["show", "a=1"], "only with divide; received show"),
     (["divide", "a=1", "a=2"], "each as MODEL=PERCENT, received 'a=2'"), (["divide", "a=x"], "received 'a=x'")],
)  # fmt: skip
def test_wrong_words_are_one_plain_line(words, says, capsys):
    line = ["endpoint", words[0], "photos", *words[1:], "--project", "p", "--region", "r"]
    assert kubeflow_runner.main(line) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("endpoint", 'a"b', "expected at most 128 letters"),
        ("machine_type", "large", "expected a machine like n1-standard-4, received 'large'"),
        ("min_replicas", 2, r"max_replicas: expected 2 \(min_replicas\) or more, received 1"),
        ("image", "tensorflow/serving:2.19.1", "expected REGION-docker.pkg.dev/…/IMAGE:TAG"),
    ],
)
def test_a_wrong_setting_is_refused_before_a_submission(key, value, says):
    good = Deployment(endpoint="photos")
    deployment_settings.check(good)
    with pytest.raises(UserError, match=says):
        deployment_settings.check(good.model_copy(update={key: value}))


def test_the_settings_reach_pusher():
    config = Config(cluster={"project": "p", "region": "r", "deployment": {"endpoint": "photos", "traffic": 5}})
    settings = targets._deployment(config)
    assert (settings["name"], settings["project"], settings["traffic"]) == ("sample", "p", 5)
    assert targets._deployment(Config()) is None
