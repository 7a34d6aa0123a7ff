"""The public surface of mleb_core, pinned: a change here is a change for every plugin author."""

import mleb_core

SURFACE = """
AgentId AgentPaths Competition CompetitionError EvalRequest GraderError InvalidSubmissionError Launch LaunchContext
Limits MlebError NotPreparedError PluginError PluginManager PreparationError Registry RunGroupError RunnerError
SandboxError Scaffold UnknownIdError UsageError __version__ competitions_in evaluate hookimpl load_plugins plan resume
""".split()


def test_surface_is_pinned():
    assert sorted(mleb_core.__all__) == sorted(SURFACE)


def test_every_name_is_there():
    for name in mleb_core.__all__:
        assert getattr(mleb_core, name) is not None


def test_importing_core_is_light():
    import subprocess
    import sys

    code = "import sys, mleb_core; mleb_core.hookimpl; print(*{'pandas', 'numpy', 'pydantic', 'sklearn'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
