"""The rooms of the package: what may import what, without a circle, and where Flax may be imported."""

import ast
from functools import cache
from pathlib import Path

import jaxvae

PACKAGE = Path(jaxvae.__file__).parent
LIBRARY = {
    "losses", "common", "distributions", "networks", "posteriors", "priors", "likelihoods", "models", "objectives",
    "latent", "metrics", "data", "train",
}  # fmt: skip
RUNS = {"experiment", "runs", "evaluation", "tools", "report", "api", "cli"}
DOORS = {"sklearn"}  # modules beside the rooms, which only import from them
FILES = sorted(PACKAGE.rglob("*.py"))
LARGEST = 250  # lines


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import, which this test does not follow"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports."""
    rooms: dict[str, set[str]] = {}
    for path in FILES:
        room = room_of(path)
        targets = {name.split(".")[1] for name in imports(path) if name.startswith("jaxvae.")}
        rooms.setdefault(room, set()).update(targets - {room})
    rooms.pop("__init__")
    return {room: targets & rooms.keys() for room, targets in rooms.items()}


def test_every_room_belongs_to_the_library_or_to_runs():
    assert len(LIBRARY | RUNS) <= 20
    assert arrows().keys() == LIBRARY | RUNS | DOORS


def test_the_library_knows_nothing_of_runs():
    assert {
        room: sorted(targets & RUNS) for room, targets in arrows().items() if room in LIBRARY and targets & RUNS
    } == {}


def test_losses_need_nothing_else_of_the_package():
    assert arrows()["losses"] == set()


def test_rooms_import_each_other_without_a_circle_in_twelve_floors_at_most():
    rooms = arrows()

    @cache
    def floor(room: str, above: tuple[str, ...] = ()) -> int:
        assert room not in above, f"a circle of imports: {' -> '.join([*above, room])}"
        return 1 + max((floor(other, (*above, room)) for other in rooms[room]), default=0)

    assert max(map(floor, rooms)) <= 12


def test_flax_is_imported_by_networks_alone():
    assert {room_of(path) for path in FILES if any(name.split(".")[0] == "flax" for name in imports(path))} == {
        "networks"
    }


def test_no_private_module_of_jax_is_imported():
    assert [path for path in FILES if any(name.startswith("jax._src") for name in imports(path))] == []


def test_no_file_is_too_long_to_read():
    assert {path.name: n for path in FILES if (n := len(path.read_text().splitlines())) > LARGEST} == {}


def test_test_files_have_names_of_their_own():
    """Pytest imports them by name, without the folder."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []
