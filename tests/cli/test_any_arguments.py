"""Whatever is typed after a command ends in its answer or in one line: never in a traceback."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from normlab.cli import main
from normlab.tasks import task_settings

_ODD = (
    *(
        "",
        "0",
        "-1",
        "1",
        "0.5",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "1e-400",
        "1" * 400,
        "0x10",
        "1_000",
        "١",
        "1.0.0",
        "true",
        "None",
    ),
    *(
        "[]",
        "{}",
        "[1, 2]",
        "a: b",
        "!!python/object:os.system",
        "&a [*a]",
        "../../etc/passwd",
        "/dev/null",
        "-",
        "--",
        "@x",
        "~",
    ),
    *(
        "batch",
        "none",
        "auto",
        "sgd",
        "digits",
        "ä",
        "\u202e",
        "\ud800",
        "a b",
        "a\tb",
        "a\nb",
        "%s",
        "{x}",
        "x" * 3000,
    ),
)
_FLAGS = sorted(f"--{name.replace('_', '-')}" for name in task_settings("image").config_class.model_fields)
_STUDY = ("--scale", "--seeds", "--axis", "--budget", "--workers", "--out")
values = st.one_of(st.sampled_from(_ODD), st.text(max_size=12), st.integers().map(str), st.floats().map(str))
flags = st.one_of(
    st.sampled_from([*_FLAGS, *_STUDY]), st.sampled_from(_FLAGS).map(lambda flag: flag[:-1]), st.just("--")
)
given_flags = st.lists(st.tuples(flags, values), max_size=4)


def ended(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    try:
        code: object = main(arguments)
    except SystemExit as stopped:
        code = stopped.code
    return code, capsys.readouterr().err


# `study plan` reads every setting as training does, and trains nothing.
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=given_flags)
def test_any_arguments_end_in_an_answer_or_a_line(
    pairs: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = ended(
        ["study", "plan", "seven_norms", "--scale", "smoke", *(part for pair in pairs for part in pair)], capsys
    )
    assert code in (0, 2)
    assert "Traceback" not in said
    assert (code == 2) == (said.startswith(("normlab: ", "usage: ")))
