"""Environments with real plugins in them: fixture packages are built as wheels and installed."""

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"


class Environment:
    """A virtual environment that sees this one's packages, with fixture plugins of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python = root / "bin" / "python"
        venv.create(root, symlinks=True)
        own = Path(
            subprocess.check_output(
                [self.python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
            ).strip()
        )
        # `site.addsitedir`, unlike a plain path, also follows the .pth files of editable installs.
        outer = sysconfig.get_path("purelib")
        (own / "outer.pth").write_text(f"import site; site.addsitedir({outer!r})\n")
        self.own = own

    def install(self, *wheels: Path) -> None:
        """Install wheels, without their requirements."""
        target = ["--python", str(self.python)]
        pip = [
            sys.executable,
            "-m",
            "pip",
            *target,
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, *map(str, wheels)], check=True)

    def run(
        self, *arguments: str, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python and keep what it says."""
        command = [str(self.python), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})}, **options)  # type: ignore[call-overload,no-any-return]

    def mleb(
        self, *arguments: str, env: dict[str, str] | None = None, **options: object
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run("-m", "mleb", *arguments, env=env, **options)


@pytest.fixture(scope="session")
def fixture_wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of each package under tests/fixtures, by distribution name."""
    built = tmp_path_factory.mktemp("wheels")
    sources = tmp_path_factory.mktemp("sources")  # the build must not write into the checkout
    wheels = {}
    for project in sorted(FIXTURES.glob("*/pyproject.toml")):
        name = project.parent.name
        shutil.copytree(project.parent, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        (out := built / name).mkdir()
        code = f"import hatchling.build as b; b.build_wheel({str(out)!r})"
        subprocess.run([sys.executable, "-c", code], cwd=sources / name, check=True, capture_output=True)
        (wheels[name],) = out.glob("*.whl")
    return wheels


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory: pytest.TempPathFactory, fixture_wheels: dict[str, Path]):
    """Makes an `Environment` with the named fixture plugins installed."""

    def make(*names: str) -> Environment:
        environment = Environment(tmp_path_factory.mktemp("environment"))
        if names:
            environment.install(*(fixture_wheels[name] for name in names))
        return environment

    assert site.ENABLE_USER_SITE is not None
    return make


@pytest.fixture(scope="session")
def thirdparty(make_environment) -> Environment:
    """An environment with the working third-party plugin."""
    return make_environment("mleb-plugin-thirdparty")
