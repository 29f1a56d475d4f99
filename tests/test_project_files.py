"""The files around the code agree with it: example settings, decisions, CI, editors."""

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from app.settings import Settings

ROOT = Path(__file__).parents[1]
REQUIRED = {name for name, field in Settings.model_fields.items() if field.is_required()}
SETTING = re.compile(r"^(#?)([A-Z0-9_]+)=(.*)$", re.MULTILINE)


def read_yaml(path: str) -> Any:
    return YAML(typ="safe").load(ROOT / path)


def example_settings() -> dict[str, tuple[bool, str]]:
    """Return each setting of .env.example: whether it is commented out, and its value."""
    found = SETTING.findall((ROOT / ".env.example").read_text())
    assert len({name for _, name, _ in found}) == len(found)
    return {
        name.lower(): (bool(comment), "".join(shlex.split(value))) for comment, name, value in found
    }


def test_the_example_environment_names_every_setting() -> None:
    settings = example_settings()
    assert set(settings) == set(Settings.model_fields)
    assert {name for name, (commented, _) in settings.items() if not commented} == REQUIRED


def test_the_example_environment_has_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (_, value) in example_settings().items():
        monkeypatch.setenv(name.upper(), value)
    settings = Settings()
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert {name: getattr(settings, name) for name in defaults if name not in REQUIRED} == {
        name: default for name, default in defaults.items() if name not in REQUIRED
    }


def test_every_decision_has_a_date_and_a_status_and_is_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    header = re.compile(
        r"# (\d+)\. (.+)\n\n- Date: (\d{4}-\d\d-\d\d)\n- Status: (accepted|superseded by \d+)\n\n"
    )
    rows = []
    for path in sorted(folder.glob("0*.md")):
        match = header.match(path.read_text())
        assert match, f"{path.name} does not begin with number and title, date and status"
        number, title, date, status = match.groups()
        assert path.name.startswith(f"{int(number):04}-")
        rows.append(f"| {number} | [{title}]({path.name}) | {date} | {status} |")
    index = (folder / "README.md").read_text()
    assert re.findall(r"^\| \d.*$", index, re.MULTILINE) == rows


def test_the_site_has_every_page() -> None:
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("*.md")}
    nav = json.dumps(read_yaml("properdocs.yml")["nav"])
    assert set(re.findall(r"[\w/-]+\.md", nav)) == pages | {"decisions/README.md"}


def test_ci_runs_on_every_supported_python() -> None:
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["check"]
    (step,) = [step for step in job["steps"] if step.get("run") == ".ci/run"]
    assert step["env"] == {"VENV_PYTHON": "${{ matrix.python }}"}
    makefile = (ROOT / "Makefile").read_text()
    (pythons,) = re.findall(r"^PYTHONS := (.+)$", makefile, re.MULTILINE)
    assert job["strategy"]["matrix"]["python"] == pythons.split()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest, newest = pythons.split()[0], pythons.split()[-1]
    assert project["requires-python"] == f">={oldest},<3.{int(newest[2:]) + 1}"
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["image"].endswith(f":{newest}")


def test_hooks_and_editors_call_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    texts = [
        (ROOT / name).read_text()
        for name in (
            ".devcontainer/devcontainer.json",
            ".github/pull_request_template.md",
            ".pre-commit-config.yaml",
            ".vscode/tasks.json",
            "CONTRIBUTING.md",
            "README.md",
            "SECURITY.md",
        )
    ]
    called = {name for text in texts for name in re.findall(r"`?make ([a-z-]+)[`\" ]", text)}
    assert {"install", "test", "quick"} <= called
    assert called <= targets
