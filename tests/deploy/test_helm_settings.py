"""The settings of the Helm chart are those of the service, and secrets are references."""

import json
from typing import Any

import pytest
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from app.settings import Settings
from tests.support.chart import (
    CHART,
    VALUES_FILES,
    containers,
    deployment,
    environment,
    rendered,
)

pytestmark = pytest.mark.usefixtures("child_processes")

OPTIONAL = {
    "DATABASE_READ_URL",
    "SMTP_URL",
    "AUDIT_KEYS_PREVIOUS",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}
SECRETS = {"DATABASE_URL", "REDIS_URL", "AUDIT_KEY"} | OPTIONAL
OF_THE_CHART = {
    "PROOF_DIR",
    "PROOF_STORE",
    "MAIL_DIR",
    "METRICS_HOST",
    "METRICS_PORT",
    "WORKER_METRICS_PORT",
}


class _SettingsSchema(GenerateJsonSchema):
    """Describes parsed settings as the texts that they are in the environment."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> dict[str, Any]:
        return {"type": "string"}


@pytest.mark.filterwarnings("ignore:Default value")
def test_the_schema_has_the_settings_of_the_service() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    of_chart = schema["properties"]["settings"]["properties"]
    of_service = {
        name.upper(): field
        for name, field in Settings.model_json_schema(schema_generator=_SettingsSchema)[
            "properties"
        ].items()
    }
    assert of_chart.keys() | SECRETS | OF_THE_CHART == of_service.keys()
    assert not of_chart.keys() & (SECRETS | OF_THE_CHART)
    assert schema["properties"]["secrets"]["properties"]["from"]["properties"].keys() == SECRETS
    for name, rule in of_chart.items():
        field = of_service[name].get("anyOf", [of_service[name]])[0]
        for keyword in ("enum", "minimum", "exclusiveMinimum", "maximum"):
            assert rule.get(keyword) == field.get(keyword), name
        if field.get("type") in ("integer", "number", "boolean"):
            assert rule["type"] == field["type"], name


def test_settings_arrive_as_the_service_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = rendered("production", "--set", "settings.PROOF_MAX_BYTES=20971520")
    container = deployment(manifests, "-api")["containers"][0]
    for name, variable in environment(container).items():
        if "value" in variable:
            monkeypatch.setenv(name, variable["value"])
    monkeypatch.setenv(
        "DATABASE_URL", "postgresql://app:secret@billing-database-rw.ns:5432/invoicing"
    )
    monkeypatch.setenv("REDIS_URL", "redis://valkey:6379/0")
    settings = Settings()
    assert settings.proof_max_bytes == 20 * 1024 * 1024
    assert settings.notify_on_issue
    assert settings.issuer_details.country_name == "Estonia"
    assert [str(network) for network in settings.trusted_proxies] == ["10.244.0.0/16"]
    assert settings.public_url == "https://billing.example.com"


@pytest.mark.parametrize("name", VALUES_FILES)
def test_every_variable_is_a_setting_and_secrets_are_references(name: str) -> None:
    manifests = rendered(name)
    assert "Secret" not in {manifest["kind"] for manifest in manifests}
    known = {field.upper() for field in Settings.model_fields}
    for owner, container in containers(manifests):
        variables = environment(container)
        assert len(variables) == len(container["env"])
        assert variables.keys() <= known | ({"DUMP"} if owner.endswith("-restore") else set())
        for variable in SECRETS & variables.keys():
            reference = variables[variable]["valueFrom"]["secretKeyRef"]
            assert reference.get("optional", False) == (variable in OPTIONAL)
