"""Python 3.11 cannot create a frozen generic dataclass with slots by a subscripted name."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    for folder in ("app", "benchmarks", "faults", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                yield path, node


def test_no_generic_dataclass_is_created_by_a_subscripted_name() -> None:
    generic = set()
    calls = []
    for path, node in nodes():
        if isinstance(node, ast.ClassDef):
            bases = {ast.unparse(base).partition("[")[0] for base in node.bases}
            if "Generic" in bases and "slots=True" in "".join(
                map(ast.unparse, node.decorator_list)
            ):
                generic.add(node.name)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Subscript):
            name = ast.unparse(node.func.value).rpartition(".")[2]
            calls.append((name, f"{path.relative_to(ROOT)}:{node.lineno}"))
    assert "RowList" in generic
    assert [place for name, place in calls if name in generic] == []
