"""The Helm chart gives Kubernetes what the service needs, by the real helm.

Objects of operators (Cluster, HTTPRoute, ServiceMonitor, PrometheusRule) have no schema in
Kubernetes: tests compare them with the objects and files that they name.
"""

import re
import tomllib
from pathlib import Path

import pytest

from app.settings import Settings
from app.shutdown import SHUTDOWN_SECONDS
from tests.support.chart import (
    CHART,
    VALUES_FILES,
    KubernetesSchemas,
    containers,
    deployment,
    environment,
    helm,
    one,
    pods,
    read_yaml,
    render,
    rendered,
    template,
    values_file,
)
from tests.support.commands import parse_command
from tests.support.paths import ROOT

pytestmark = pytest.mark.usefixtures("child_processes")

INGRESS = ("--set", "httpRoute.enabled=false,ingress.enabled=true,ingress.tlsSecret=tls")
OF_OPERATORS = {"Cluster", "HTTPRoute", "ServiceMonitor", "PrometheusRule"}


@pytest.mark.parametrize("name", VALUES_FILES)
def test_helm_finds_nothing_to_improve(name: str) -> None:
    done = helm("lint", "--strict", CHART, "--values", values_file(name))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("version", ["1.30", "1.37"])
@pytest.mark.parametrize(
    ("name", "options"), [("trial", ()), ("production", ()), ("production", INGRESS)]
)
def test_kubernetes_knows_every_field(name: str, options: tuple[str, ...], version: str) -> None:
    schemas = KubernetesSchemas(version)
    manifests = rendered(name, *options)
    known = [manifest for manifest in manifests if schemas.has(manifest)]
    assert {m["kind"] for m in manifests if m not in known} <= OF_OPERATORS
    assert {"Deployment", "Job", "PersistentVolumeClaim"} <= {m["kind"] for m in known}
    faults = [fault for manifest in known for fault in schemas.faults(manifest)]
    assert not faults, "\n".join(faults)
    minimum = read_yaml(CHART / "Chart.yaml")["kubeVersion"]
    assert minimum == ">=1.30.0-0"


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("api.replicas=two", "/api/replicas"),
        ("api.replicas=0", "/api/replicas"),
        ("api.replica=2", "additional properties 'replica' not allowed"),
        ("mode=production", "additional properties 'mode' not allowed"),
        ("image.repository=", "/image/repository"),
        ("image.digest=sha256:12", "/image/digest"),
        ("settings.CURENCY=EUR", "additional properties 'CURENCY' not allowed"),
        ("settings.DATABASE_URL=postgresql://u:p@h/d", "'DATABASE_URL' not allowed"),
        ("settings.METRICS_PORT=1", "additional properties 'METRICS_PORT' not allowed"),
        ("settings.DRAIN_SECONDS=16", "/settings/DRAIN_SECONDS"),
        ("settings.LOG_LEVEL=loud", "/settings/LOG_LEVEL"),
        ("settings.NOTIFY_ON_ISSUE=perhaps", "/settings/NOTIFY_ON_ISSUE"),
        ("proofs.accessMode=ReadOnlyMany", "/proofs/accessMode"),
        ("proofs.size=big", "/proofs/size"),
        ("backup.schedule=daily", "/backup/schedule"),
        ("migration.databaseUrl.name=only", "/migration/databaseUrl"),
        ("secrets.existingSecret=", "/secrets/existingSecret"),
        ("secrets.from.PROOF_DIR.name=x", "additional properties 'PROOF_DIR' not allowed"),
        ("host=https://example.com", "/host"),
    ],
)
def test_the_schema_refuses(option: str, reason: str) -> None:
    done = template("--set", option)
    assert done.returncode != 0
    assert reason in done.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("api.replicas=2", "proofs.accessMode is ReadWriteOnce"),
        ("worker.replicas=2", "proofs.accessMode is ReadWriteOnce"),
        ("api.autoscaling.enabled=true", "proofs.accessMode is ReadWriteOnce"),
        ("ingress.enabled=true", "host is not set"),
        ("httpRoute.enabled=true,host=a.example", "httpRoute.parentRefs is empty"),
        ("ingress.enabled=true,host=a.example", "ingress.tlsSecret is not set"),
        ("ingress.enabled=true,httpRoute.enabled=true", "choose one"),
        ("api.autoscaling.minReplicas=9", "minReplicas is more than maxReplicas"),
        (
            "cloudNativePG.enabled=true,secrets.from.DATABASE_URL.name=a,"
            "secrets.from.DATABASE_URL.key=b",
            "choose one",
        ),
    ],
)
def test_the_chart_refuses_what_contradicts_itself(options: str, reason: str) -> None:
    done = template("--set", options)
    assert done.returncode != 0
    assert reason in done.stderr


def test_replicas_may_share_a_volume_of_many_nodes() -> None:
    manifests = render("--set", "proofs.accessMode=ReadWriteMany,api.replicas=2,worker.replicas=3")
    assert one(manifests, "Deployment", "-api")["spec"]["replicas"] == 2
    assert "affinity" not in deployment(manifests, "-api")


def test_pods_stand_on_the_node_of_a_volume_of_one_node() -> None:
    manifests = render("--set", "backup.enabled=true")
    mounting = 0
    for name, pod in pods(manifests):
        claims = [v for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v]
        if not claims:
            continue
        mounting += 1
        affinity = pod["spec"]["affinity"]["podAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
        assert term["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert term["topologyKey"] == "kubernetes.io/hostname", name
    assert mounting == 5  # API, worker, backup, restore, doctor


@pytest.mark.parametrize("name", VALUES_FILES)
def test_every_command_exists(name: str) -> None:
    commands = {}
    for owner, container in containers(rendered(name)):
        if "args" in container:  # of the image's own entry point
            commands[owner.removeprefix("billing-cloud-invoicing-")] = parse_command(
                container["args"]
            ).info_name
        else:
            assert container["command"][:2] == ["/bin/sh", "-euc"]
    del commands["migrate" if "migrate" in commands else "first-migration"]
    assert commands.pop("verify", "verify") == "verify"
    assert commands == {"api": "serve", "worker": "worker", "doctor": "doctor"}


def test_ports_are_those_of_the_processes() -> None:
    manifests = rendered("production")
    for component, setting in (("api", "METRICS_PORT"), ("worker", "WORKER_METRICS_PORT")):
        (container,) = deployment(manifests, f"-{component}")["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["metrics"] == int(environment(container)[setting]["value"])
        assert environment(container)["METRICS_HOST"]["value"] == "0.0.0.0"
        if component == "api":
            called = parse_command(container["args"]).params
            assert (called["host"], called["port"]) == ("0.0.0.0", ports["http"])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["port"] in ports
    policy = one(manifests, "NetworkPolicy")["spec"]
    assert [rule["ports"] for rule in policy["ingress"]] == [
        [{"port": "http"}],
        [{"port": "metrics"}],
    ]


def test_probes_are_those_of_the_service() -> None:
    (container,) = deployment(rendered("production"), "-api")["containers"]
    paths = [container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness")]
    assert paths == ["/health/startup", "/health/live"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"
    documented = (ROOT / "docs" / "operating.md").read_text()
    assert all(f"`GET {path}`" in documented for path in paths)


def test_requests_and_jobs_may_end() -> None:
    manifests = rendered("production", "--set", "api.preStopSeconds=7")
    api = deployment(manifests, "-api")
    (container,) = api["containers"]
    assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert api["terminationGracePeriodSeconds"] > 7 + SHUTDOWN_SECONDS
    worker = deployment(manifests, "-worker")
    assert worker["terminationGracePeriodSeconds"] > SHUTDOWN_SECONDS
    strategy = one(manifests, "Deployment", "-api")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("name", VALUES_FILES)
def test_pods_have_few_rights_and_the_directories_that_they_write_to(name: str) -> None:
    (user,) = set(re.findall(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    for owner, pod in pods(rendered(name)):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["fsGroup"] == int(user)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        volumes = {volume["name"] for volume in spec["volumes"]}
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
            assert {mount["name"] for mount in mounts.values()} == volumes, owner
            assert "/tmp" in mounts
            for setting in ("PROOF_DIR", "MAIL_DIR"):
                if setting in environment(container):
                    directory = Path(environment(container)[setting]["value"])
                    assert str(directory.parent) in mounts
            assert container["resources"]["limits"]["memory"]


def test_replicas_stand_apart() -> None:
    manifests = rendered("production")
    for component in ("api", "worker"):
        labels = one(manifests, "Deployment", component)["spec"]["selector"]["matchLabels"]
        constraints = deployment(manifests, component)["topologySpreadConstraints"]
        assert {each["topologyKey"] for each in constraints} == {
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        }
        assert all(each["labelSelector"]["matchLabels"] == labels for each in constraints)
    budget = one(manifests, "PodDisruptionBudget")["spec"]
    api = one(manifests, "Deployment", "-api")["spec"]
    assert (budget["maxUnavailable"], budget["selector"]) == (1, api["selector"])


@pytest.mark.parametrize(
    ("options", "metric"),
    [
        ((), "cpu"),
        (("--api-versions", "custom.metrics.k8s.io/v1beta1"), "invoicing_http_requests_per_second"),
        (("--set", "api.autoscaling.metric=requests"), "invoicing_http_requests_per_second"),
    ],
)
def test_the_api_scales_by_requests_where_they_are_served(
    options: tuple[str, ...], metric: str
) -> None:
    manifests = rendered("production", *options)
    scaler = one(manifests, "HorizontalPodAutoscaler")["spec"]
    (source,) = scaler["metrics"]
    name = source["resource"]["name"] if "resource" in source else source["pods"]["metric"]["name"]
    assert name == metric
    api = one(manifests, "Deployment", "-api")
    assert scaler["scaleTargetRef"]["name"] == api["metadata"]["name"]
    assert "replicas" not in api["spec"]
    if metric != "cpu":
        # The adapter's rule in the documentation makes it of a metric of the service.
        assert "invoicing_http_requests_total" in (ROOT / "docs" / "kubernetes.md").read_text()


def test_the_migration_runs_before_everything_else() -> None:
    hooks = {"helm.sh/hook": "pre-install,pre-upgrade"}
    for manifests in (rendered("trial"), rendered("production", "--is-upgrade")):
        job = one(manifests, "Job", "-migrate")
        assert hooks.items() <= job["metadata"]["annotations"].items()
        # Nothing that the release makes after its hooks.
        pod = job["spec"]["template"]["spec"]
        assert "serviceAccountName" not in pod
        assert {tuple(volume)[1] for volume in pod["volumes"]} == {"emptyDir"}
        assert not any("configMapKeyRef" in str(each) for each in pod["containers"][0]["env"])


def test_the_first_migration_waits_for_a_database_of_the_chart() -> None:
    job = one(rendered("production"), "Job")
    assert job["metadata"]["name"].endswith("-first-migration")
    assert "annotations" not in job["metadata"]


def test_the_database_of_the_chart_keeps_each_acknowledged_change_twice() -> None:
    manifests = rendered("production")
    cluster = one(manifests, "Cluster")
    assert cluster["spec"]["instances"] > 1
    assert cluster["spec"]["postgresql"]["synchronous"] == {
        "method": "any",
        "number": 1,
        "dataDurability": "required",
    }
    assert cluster["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    # The operator's Secret of the database's owner.
    expected = {"name": f"{cluster['metadata']['name']}-app", "key": "uri"}
    for owner, container in containers(manifests):
        reference = environment(container)["DATABASE_URL"]["valueFrom"]["secretKeyRef"]
        # A restore goes into an empty database, which it names itself.
        assert (reference == expected) != owner.endswith("-restore")
    (single,) = [
        manifest
        for manifest in rendered("production", "--set", "cloudNativePG.instances=1")
        if manifest["kind"] == "Cluster"
    ]
    assert "synchronous" not in single["spec"]["postgresql"]


def test_the_database_of_production_has_connections_for_all_processes() -> None:
    values = read_yaml(values_file("production"))
    processes = values["api"]["autoscaling"]["maxReplicas"] + values["worker"]["replicas"]
    processes += 2  # of an upgrade, which starts a new pod of each before an old one ends
    pool = Settings.model_fields["database_pool_size"].default + 1
    connections = int(values["cloudNativePG"]["parameters"]["max_connections"])
    assert processes * pool < connections


def test_alerts_and_scripts_are_links_to_the_only_copy() -> None:
    manifests = rendered("production")
    alerts = ROOT / "deploy" / "prometheus" / "alerts.yml"
    assert one(manifests, "PrometheusRule")["spec"] == read_yaml(alerts)
    scripts = one(manifests, "ConfigMap", "-backup")["data"]
    for name, text in scripts.items():
        # Helm's block ends with its own line break.
        assert text.rstrip("\n") == (ROOT / "deploy" / name).read_text().rstrip("\n")
    assert scripts.keys() == {"backup.sh", "restore.sh", "verify-backup.sh"}
    assert all(path.is_symlink() for path in (CHART / "files").iterdir())


def test_metrics_have_the_job_names_of_the_alerts() -> None:
    manifests = rendered("production")
    (endpoint,) = one(manifests, "ServiceMonitor")["spec"]["endpoints"]
    (relabeling,) = endpoint["relabelings"]
    service = one(manifests, "Service", "-metrics")
    monitor = one(manifests, "ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert monitor.items() <= service["metadata"]["labels"].items()
    assert endpoint["port"] == service["spec"]["ports"][0]["name"]
    jobs = set()
    for _, pod in pods(manifests):
        labels = pod["metadata"]["labels"]
        if service["spec"]["selector"].items() <= labels.items():
            assert relabeling["sourceLabels"] == [
                "__meta_kubernetes_pod_label_app_kubernetes_io_component"
            ]
            component = labels["app.kubernetes.io/component"]
            jobs.add(relabeling["replacement"].replace("$1", component))
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
    assert jobs == set(re.findall(r'job="([\w-]+)"', alerts))


def test_gateways_have_the_limits_of_nginx() -> None:
    nginx = (ROOT / "deploy" / "nginx" / "invoicing.conf.template").read_text()
    annotations = one(rendered("production", *INGRESS), "Ingress")["metadata"]["annotations"]
    for directive, suffix in (
        ("client_max_body_size", "body-size"),
        ("proxy_connect_timeout", "connect-timeout"),
        ("proxy_send_timeout", "send-timeout"),
        ("proxy_read_timeout", "read-timeout"),
    ):
        (value,) = re.findall(rf"^ +{directive} (\w+);", nginx, re.MULTILINE)
        found = {text for key, text in annotations.items() if key.endswith(suffix)}
        assert {text.removesuffix("s") for text in found} == {value.removesuffix("s")}
    larger = rendered("production", *INGRESS, "--set", "settings.PROOF_MAX_BYTES=31457281")
    sizes = one(larger, "Ingress")["metadata"]["annotations"]
    assert sizes["nginx.ingress.kubernetes.io/proxy-body-size"] == "33m"


def test_only_the_api_is_public() -> None:
    route = one(rendered("production"), "HTTPRoute")["spec"]
    (rule,) = route["rules"]
    assert [match["path"]["value"] for match in rule["matches"]] == ["/api/"]
    modified = rule["filters"][0]["requestHeaderModifier"]
    assert {"Forwarded", "X-Forwarded-Prefix"} == set(modified["remove"])
    service = one(rendered("production"), "Service", "-api")
    assert rule["backendRefs"] == [{"name": service["metadata"]["name"], "port": 80}]
    ingress = one(rendered("production", *INGRESS), "Ingress")["spec"]
    (path,) = ingress["rules"][0]["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/api/", "Prefix")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]


def test_the_chart_has_the_version_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = read_yaml(CHART / "Chart.yaml")
    assert chart["appVersion"] == chart["version"] == project["version"]
    image = deployment(rendered("trial"), "-api")["containers"][0]["image"]
    assert image == f"cloud-invoicing:{project['version']}"
