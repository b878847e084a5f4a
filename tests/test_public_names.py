"""Every public name is in docs/reference.md, and nothing else is."""

import importlib
import re
from pathlib import Path

import jaxvae

PAGE = (Path(__file__).parents[1] / "docs" / "reference.md").read_text()


def listed() -> dict[str, set[str]]:
    """The names that the page lists, by the module in the heading above them."""
    sections = re.split(r"^## (jaxvae\S*)\n", PAGE, flags=re.MULTILINE)[1:]
    return {
        module: set(re.findall(r"^- `(\w+)`: \S", text, flags=re.MULTILINE))
        for module, text in zip(sections[::2], sections[1::2], strict=True)
    }


def test_the_reference_lists_every_public_name_and_no_other():
    for module, names in listed().items():
        assert names == set(importlib.import_module(module).__all__), module


def test_every_room_of_the_library_with_public_names_has_a_section():
    package = Path(jaxvae.__file__).parent
    rooms = (path.parent.relative_to(package.parent) for path in package.rglob("__init__.py"))
    modules = {".".join(room.parts) for room in rooms} - {"jaxvae.tools"}  # which works with runs
    public = {name for name in modules if hasattr(importlib.import_module(name), "__all__")}
    assert public == listed().keys()
