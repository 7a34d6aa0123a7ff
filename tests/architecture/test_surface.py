"""The public surface of mleb_core, pinned: a change here is a change for every plugin author."""

import mleb_core

SURFACE = [
    "AgentId",
    "AgentPaths",
    "Competition",
    "CompetitionError",
    "GraderError",
    "InvalidSubmissionError",
    "Launch",
    "LaunchContext",
    "Limits",
    "MlebError",
    "NotPreparedError",
    "PluginError",
    "PluginManager",
    "PreparationError",
    "Registry",
    "RunGroupError",
    "RunnerError",
    "SandboxError",
    "Scaffold",
    "UnknownIdError",
    "UsageError",
    "__version__",
    "competitions_in",
    "hookimpl",
    "load_plugins",
]


def test_surface_is_pinned():
    assert sorted(mleb_core.__all__) == sorted(SURFACE)


def test_every_name_is_there():
    for name in mleb_core.__all__:
        assert getattr(mleb_core, name) is not None


def test_public_modules_are_there():
    from mleb_core.evaluate import EvalRequest, evaluate, plan, resume
    from mleb_core.grading.grade import grade_submission
    from mleb_core.prepare import prepare, require_prepared

    assert all(map(callable, (EvalRequest, evaluate, plan, resume, grade_submission, prepare, require_prepared)))


def test_importing_core_is_light():
    import subprocess
    import sys

    heavy = {"pandas", "numpy", "pydantic", "sklearn"}
    code = f"import sys, mleb_core; mleb_core.hookimpl; print(*{heavy} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
