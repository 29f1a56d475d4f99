"""Runs a program that uses the `waldur-api-client`, and imports only the models that it uses.

`python waldur_client_program.py PROGRAM ARGUMENTS`. The client's package of models imports all
3,000 of them, which takes three seconds of processor time.
"""

import re
import runpy
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

_MODELS = "waldur_api_client.models"


def import_models_on_use() -> None:
    """Let the package of the models import each of them when it is first used."""
    spec = find_spec(_MODELS)
    assert spec is not None
    assert spec.origin is not None
    found = re.findall(r"^from \.(\w+) import \(?\s*(\w+)", Path(spec.origin).read_text(), re.M)
    modules = {model: module for module, model in found}

    def get_model(name: str) -> Any:
        if name not in modules:
            raise AttributeError(name)
        return getattr(import_module(f"{_MODELS}.{modules[name]}"), name)

    package = module_from_spec(spec)
    package.__dict__["__getattr__"] = get_model
    sys.modules[_MODELS] = package


if __name__ == "__main__":
    import_models_on_use()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
