"""A user's module, which is not on the disk."""

import inspect
import sys
from types import ModuleType

PACKAGE = "some_users_pkg"


def bring_in(monkeypatch, namespace):
    """Import the functions of a namespace as those of the user's module."""
    made = ModuleType(f"{PACKAGE}.parts")
    vars(made).update({name: value for name, value in namespace.items() if inspect.isfunction(value)}, number=3)
    made.__file__ = "/somewhere/parts.py"
    monkeypatch.setitem(sys.modules, made.__name__, made)
    return made


def name(function: str) -> str:
    return f"{PACKAGE}.parts:{function}"
