"""The Dockerfile and compose.yaml use commands and settings that exist."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.settings import Settings
from app.shutdown import SHUTDOWN_SECONDS
from app.urls import BucketUrl
from tests.support.commands import parse_command

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def instruction(name: str) -> list[str]:
    (found,) = re.findall(rf"^{name} (\[.*\])$", DOCKERFILE, re.MULTILINE)
    words: list[str] = json.loads(found)
    return words


def test_the_image_serves_by_default() -> None:
    assert instruction("ENTRYPOINT") == ["python", "-m", "app"]
    context = parse_command(instruction("CMD"))
    assert context.params["host"] == "0.0.0.0"
    assert f"EXPOSE {context.params['port']}\n" in DOCKERFILE
    assert f"127.0.0.1:{context.params['port']}/health/live" in DOCKERFILE


def test_the_image_has_what_the_ignore_file_lets_through() -> None:
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY ([^-]\S*)", DOCKERFILE, re.MULTILINE)
    assert sorted(let_through) == sorted(copied)
    assert all((ROOT / path).exists() for path in copied)


def test_the_image_does_not_run_as_root() -> None:
    users = re.findall(r"^USER (\d+)", DOCKERFILE.rpartition("FROM")[2], re.MULTILINE)
    assert users
    assert int(users[-1]) > 0


@pytest.mark.parametrize("name", OURS)
def test_compose_calls_commands_that_exist(name: str) -> None:
    assert parse_command(OURS[name]["command"]).info_name == OURS[name]["command"][0]
    check = OURS[name].get("healthcheck", {}).get("test")
    if check is not None:
        assert check[:4] == ["CMD", "python", "-m", "app"]
        assert parse_command(check[4:])


@pytest.mark.parametrize("name", OURS)
def test_compose_sets_settings_that_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {field.upper() for field in Settings.model_fields}
    assert set(OURS[name]["environment"]) <= known
    for setting, value in OURS[name]["environment"].items():
        monkeypatch.setenv(setting, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value))
    assert Settings().smtp_url is not None
    assert Settings().proof_store is None
    # The image's own settings lie in the volume that all share.
    assert OURS[name]["volumes"] == ["data:/data"]
    assert "ln --symbolic /data /srv/var" in DOCKERFILE


def test_compose_can_have_a_standby_and_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (ROOT / "deploy" / "compose" / "scale.env").read_text().splitlines()
    chosen = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    in_use = set()
    for setting, value in OURS["api"]["environment"].items():
        for name, default in re.findall(r"\$\{(\w+):-(.*?)\}", value):
            in_use.add(name)
            value = value.replace(f"${{{name}:-{default}}}", chosen.get(name, default))  # noqa: PLW2901
        monkeypatch.setenv(setting, value)
    assert chosen.keys() <= in_use
    settings = Settings()
    assert settings.proof_store == BucketUrl("proofs")
    hosts = re.findall(r"([a-z-]+):\d+", " ".join(chosen.values()))
    for host in hosts:
        assert host == "postgresql" or SERVICES[host]["profiles"] == ["scale"]
    keys = json.loads((ROOT / "deploy" / "compose" / "object-store.json").read_text())
    (identity,) = keys["identities"]
    assert identity["credentials"] == [
        {
            "accessKey": chosen["AWS_ACCESS_KEY_ID"],
            "secretKey": chosen["AWS_SECRET_ACCESS_KEY"],
        }
    ]
    assert "-name proofs" in SERVICES["bucket"]["entrypoint"][-1]


def test_compose_lets_requests_and_jobs_end() -> None:
    for service in OURS.values():
        assert int(service["stop_grace_period"].removesuffix("s")) > SHUTDOWN_SECONDS


def test_compose_waits_for_what_is_needed() -> None:
    assert {"api", "api-2", "worker", "migrate"} == set(OURS)
    for name in ("api", "api-2", "worker"):
        assert OURS[name]["depends_on"]["migrate"] == {
            "condition": "service_completed_successfully"
        }
    for service in SERVICES.values():
        depends_on = service.get("depends_on", {})
        for needed in depends_on:
            how = depends_on[needed] if isinstance(depends_on, dict) else {}
            if how.get("condition") == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"]
    declared = set(COMPOSE["volumes"])
    used = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if not volume.startswith((".", "$"))  # a file or folder of the host
    }
    assert used == declared


def test_compose_fills_in_all_that_the_gateway_needs() -> None:
    gateway = SERVICES["gateway"]
    given = {
        name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", value)
        for name, value in gateway["environment"].items()
    }
    template, _, place = gateway["volumes"][0].partition(":")
    assert set(given) == set(re.findall(r"\$\{(\w+)\}", (ROOT / template).read_text()))
    assert place == "/etc/nginx/templates/default.conf.template:ro"
    addresses = {
        name: service["networks"]["default"]["ipv4_address"]
        for name, service in SERVICES.items()
        if "networks" in service
    }
    port = parse_command(OURS["api"]["command"]).params["port"]
    assert given["API_1"] == f"{addresses['api']}:{port}"
    assert given["API_2"] == f"{addresses['api-2']}:{port}"
    for service in OURS.values():
        assert service["environment"]["TRUSTED_PROXIES"] == addresses["gateway"]
