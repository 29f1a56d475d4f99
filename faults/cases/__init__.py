"""The cases, one module per component; each defines the tuple CASES."""

import importlib
import pkgutil

from faults.case import Case


def all_cases() -> tuple[Case, ...]:
    """Return every case of every module, in the order of the modules' names."""
    modules = sorted(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}."))
    return tuple(case for name in modules for case in importlib.import_module(name).CASES)
