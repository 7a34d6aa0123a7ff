"""An agent that behaves in many ways, a runner that breaks, and commands."""

import os

import mleb_core
from mleb_core.errors import SandboxError

print("a plugin that prints while it is imported")

TARGET = "os.environ['MLEB_SUBMISSION'] + '/submission.csv'"
HAND_IN = f"import os, shutil; shutil.copy(os.environ['MLEB_DATA'] + '/sample_submission.csv', {TARGET})"
CODE = {
    "sample": HAND_IN,
    "slow": "import time; time.sleep(120)",
    "fail": f"{HAND_IN}; raise SystemExit(3)",
    "idle": "pass",
    "hostile": f"import os; open({TARGET}, 'w').write('\\x1b[2J[red]id,y\\n')",
    # Slow the first time only: what a stopped group is resumed with.
    "resumed": "import os, sys, time; p = sys.argv[1] + os.environ['MLEB_SEED']\n"
    f"if not os.path.exists(p): open(p, 'w').close(); time.sleep(120)\n{HAND_IN}",
}


class Scaffold:
    id = "clitest"
    summary = "Behaves \x1b[31m[red]badly[/red]\nin many ways."

    def variants(self):
        return CODE

    def launch(self, context):
        marker = os.environ.get("CLITEST_MARKER", "")
        return mleb_core.Launch([context.python, "-c", CODE[context.variant or "sample"], marker])


class BrokenRunner:
    id = "clitest-broken"
    summary = "Breaks."

    @property
    def isolation(self):
        from mleb_core.runner.protocol import Isolation

        return Isolation(files=True, network=True, memory=True, processes=True)

    def check(self, limits):
        pass

    def is_running(self, layout):
        return False

    def run(self, job, stop):
        raise SandboxError("the floor gave way")


@mleb_core.hookimpl
def mleb_register_agents():
    return [Scaffold()]


@mleb_core.hookimpl
def mleb_register_runners():
    return [BrokenRunner()]


@mleb_core.hookimpl
def mleb_register_commands(app):
    @app.command("hello-\x1b[1mworld" if os.environ.get("CLITEST_HOSTILE") else "hello")
    def hello(name: str = "you") -> None:
        """Greet somebody."""
        print(f"hello {name}")

    @app.command("eval")
    def other_eval() -> None:
        """A command of mleb's own name."""
