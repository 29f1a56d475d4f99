"""The Helm chart with proofs in a bucket: no shared volume, and backups that copy them."""

import pytest

from app.settings import Settings
from app.urls import BucketUrl
from tests.support.chart import (
    KubernetesSchemas,
    Manifest,
    deployment,
    environment,
    one,
    pods,
    render,
    template,
)
from tests.support.commands import parse_command

pytestmark = pytest.mark.usefixtures("child_processes")

BUCKET = (
    "--set",
    "proofs.store=s3://proofs/billing,settings.AWS_REGION=eu-north-1,backup.enabled=true,"
    "api.replicas=3,worker.replicas=2",
)


def job(manifests: list[Manifest], name: str) -> Manifest:
    template = one(manifests, "CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]
    spec: Manifest = template["spec"]
    return spec


def test_no_volume_is_shared_and_pods_stand_anywhere() -> None:
    manifests = render(*BUCKET)
    claims = [m["metadata"]["name"] for m in manifests if m["kind"] == "PersistentVolumeClaim"]
    assert claims == ["billing-cloud-invoicing-backups"]
    for _, pod in pods(manifests):
        assert "affinity" not in pod["spec"]
    assert "topologySpreadConstraints" in deployment(manifests, "-api")
    schemas = KubernetesSchemas("1.30")
    assert [fault for m in manifests for fault in schemas.faults(m)] == []


@pytest.mark.parametrize("name", ["-api", "-worker"])
def test_processes_get_the_bucket_and_its_credentials(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment(deployment(render(*BUCKET), name)["containers"][0])
    for variable in variables.values():
        given = variable.get("value", "postgresql://secret" if "URL" in variable["name"] else "")
        monkeypatch.setenv(variable["name"], given or "a secret of at least 32 characters")
    monkeypatch.setenv("REDIS_URL", "redis://valkey")
    monkeypatch.delenv("SMTP_URL")
    settings = Settings()
    assert settings.proof_store == BucketUrl("proofs", "billing")
    assert settings.aws_region == "eu-north-1"
    for secret in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        assert variables[secret]["valueFrom"]["secretKeyRef"]["optional"] is True


@pytest.mark.parametrize(
    ("name", "phases", "arguments"),
    [
        ("-backup", ("dump", "finish"), ["s3://proofs/billing", "/backups/proofs"]),
        ("-restore", ("verify", "database"), ["/backups/proofs", "s3://proofs/billing"]),
    ],
)
def test_proofs_are_copied_between_the_phases_of_a_script(
    name: str, phases: tuple[str, str], arguments: list[str]
) -> None:
    spec = job(render(*BUCKET), name)
    before, copy = spec["initContainers"]
    (after,) = spec["containers"]
    for container, phase in zip((before, after), phases, strict=True):
        assert phase in container["command"][-1].split(" && ")[0].split()[-1]
    parsed = parse_command(copy["args"])
    assert [parsed.params["source"], parsed.params["target"]] == arguments
    assert {"PROOF_STORE", "AWS_REGION", "AWS_ACCESS_KEY_ID"} <= environment(copy).keys()
    mounts = {mount["mountPath"] for mount in copy["volumeMounts"]}
    assert mounts == {"/scripts", "/data", "/backups", "/tmp"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("proofs.store=https://s3.example/bucket", "does not match pattern"),
        ("proofs.store=s3://b", "does not match pattern"),
        ("proofs.store=s3://bucket,proofs.existingClaim=claim", "choose one"),
    ],
)
def test_the_chart_refuses_other_stores(options: str, reason: str) -> None:
    done = template("--set", options)
    assert done.returncode != 0
    assert reason in done.stderr
