import re

import mleb_core.errors as errors
from mleb_core.errors import MlebError, RunnerError, SandboxError, UnknownIdError, UsageError


def test_every_error_is_an_mleb_error_and_drawn_in_the_tree():
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert sorted(["MlebError", *drawn]) == sorted(errors.__all__)
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), MlebError)


def test_the_tree_is_drawn_as_it_is():
    stack: list[type] = [MlebError]
    for indent, name in re.findall(r"^ {4}((?:│? {3})*)[├└]── (\w+)", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4 + 1
        error = getattr(errors, name)
        assert error.__bases__ == (stack[depth - 1],), name
        stack[depth:] = [error]
    assert issubclass(UnknownIdError, UsageError) and issubclass(SandboxError, RunnerError)


def test_an_unknown_id_names_close_ids():
    message = str(UnknownIdError("competition", "spaceship-titanik", ["wine", "spaceship-titanic", "iris"]))
    assert message == "no competition 'spaceship-titanik': did you mean spaceship-titanic?"


def test_an_unknown_id_that_is_close_to_none_names_some():
    message = str(UnknownIdError("agent", "zzz", [f"agent{n}" for n in range(20)]))
    assert message.startswith("no agent 'zzz': known: agent0, agent1, ")
    assert message.endswith(", ...") and message.count("agent") == 9


def test_an_unknown_id_where_there_is_none():
    assert str(UnknownIdError("grader", "rmse", [])) == "no grader 'rmse': no grader is installed"


def test_an_unknown_id_of_several_lines_gives_one_line():
    assert "\n" not in str(UnknownIdError("agent", "a\nb", ["ab"]))
