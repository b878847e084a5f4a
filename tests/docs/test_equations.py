"""Every part has its equation, in LaTeX that tables and the converter to MathML take."""

import equations
import mathml
import pytest

from jaxvae.api.catalogue import BUILDERS

ALL = [line for parts in equations.of_parts().values() for lines in parts.values() for line in lines]


def test_every_part_has_an_equation():
    assert {kind: set(parts) for kind, parts in equations.of_parts().items()} == {
        kind: set(BUILDERS[kind]) for kind in (*equations.ROOMS, "kl")
    }


def test_equations_are_for_tables_and_lists_of_any_markdown():
    lines = [*ALL, *equations.of_losses().values()]
    assert [line for line in lines if any(sign in line for sign in ("|", r"\,", r"\\", "$"))] == []


@pytest.mark.parametrize("line", [*ALL, *equations.of_losses().values()])
def test_an_equation_becomes_mathml(line):
    code = mathml.mathml(line)
    assert code.startswith("<math ")
    assert "\\" not in code


def test_spaces_are_those_of_tex():
    code = mathml.mathml(r"\beta \log p + \log(x)")
    assert code.count(mathml.SPACE) == 2
    assert f"<mi>log</mi>{mathml.SPACE}<mi>p</mi>" in code


def test_an_unknown_command_is_an_error():
    with pytest.raises(ValueError, match="arg is not known"):
        mathml.mathml(r"\arg x")
