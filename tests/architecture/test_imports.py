"""The import rules of ARCHITECTURE.md, read from the source itself."""

import ast
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CORE = REPOSITORY / "core/src/mleb_core"
PLUGINS = {path.name: path for path in REPOSITORY.glob("plugins/*/*/src/*") if (path / "hooks.py").is_file()}

# From the ground up: a module may import modules of lower floors and of its own, never of higher ones.
FLOORS = [
    ["errors", "terms", "units"],
    ["leaderboard", "layout", "agent", "environments", "scaffolding"],
    ["prepare.recipe", "competition_spec", "competition"],
    ["run", "run_code", "grading.protocol", "sweep_models", "temporary"],
    ["audits.findings"],
    ["ledger"],
    ["gateway"],
    ["instructions", "obfuscate", "grading.read", "grading.table", "grading"],
    ["hookspecs", "runner", "engine", "report", "observing.protocol", "audits.protocol", "machine", "attest.models"],
    ["plugins"],
    ["registry"],
    ["selection"],
    ["prepare.archives", "prepare.checksums", "prepare.files", "prepare.lock", "prepare.problems"],
    ["kaggle"],
    ["prepare", "grading.worker"],
    ["ledger_facts", "faults"],
    ["services", "data_watch", "observing"],
    ["attempt"],
    ["execute", "group_dir"],
    ["planning", "elsewhere"],
    ["audits"],
    ["evaluate", "status", "verify", "verify_run"],
    ["cancel", "sweep", "attest"],
    ["testing"],
]


def imports(path: Path, *, top_only: bool = False) -> set[str]:
    """Modules that a file imports; TYPE_CHECKING blocks do not count. `top_only`: only those at import time."""
    found: set[str] = set()

    def visit(node: ast.AST, inside: bool) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import) and not (inside and top_only):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module and not (inside and top_only):
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    visit(ast.parse(path.read_text()), False)
    return found


def floor(module: str) -> int:
    """The floor of a core module: that of the longest name that it begins with."""
    named = [
        (len(name), level)
        for level, names in enumerate(FLOORS)
        for name in names
        if (module + ".").startswith(name + ".")
    ]
    assert named, f"mleb_core.{module} has no floor in FLOORS; say where it belongs"
    return max(named)[1]


def core_modules() -> dict[str, Path]:
    found = {}
    for path in CORE.rglob("*.py"):
        name = ".".join(path.relative_to(CORE).with_suffix("").parts).removesuffix(".__init__")
        if name != "__init__":
            found[name] = path
    return found


@pytest.mark.parametrize("module", sorted(core_modules()))
def test_core_imports_only_lower_floors_and_nothing_of_plugins_or_cli(module):
    path = core_modules()[module]
    for name in imports(path):
        top = name.partition(".")[0]
        assert top not in {"typer", "rich", "mleb", *PLUGINS}, f"{path} imports {name}"
        inner = name.removeprefix("mleb_core.")
        if top == "mleb_core" and inner in core_modules():
            assert floor(inner) <= floor(module), f"{module} imports {inner}, which stands above it"


@pytest.mark.parametrize("plugin", sorted(PLUGINS))
def test_plugins_import_core_only(plugin):
    for path in PLUGINS[plugin].rglob("*.py"):
        for name in imports(path):
            assert name.partition(".")[0] not in {"mleb", *PLUGINS} - {plugin}, f"{path} imports {name}"


HEAVY = {"pandas", "numpy", "sklearn", "scipy", "pydantic", "rich", "typer", "docker", "ray", "PIL", "cv2"}
HEAVY |= {"wandb", "mlflow"}


@pytest.mark.parametrize("plugin", sorted(PLUGINS))
def test_hooks_import_nothing_heavy(plugin):
    import subprocess
    import sys

    code = f"import sys, {plugin}.hooks; print(*sorted({{m.partition('.')[0] for m in sys.modules}} & {HEAVY!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_only_render_imports_rich_and_only_the_docker_runner_docker():
    allowed = {"rich": "cli/src/mleb/render.py", "docker": "core/src/mleb_core/runner/docker/"}
    for path in [*CORE.rglob("*.py"), *REPOSITORY.glob("cli/src/**/*.py"), *REPOSITORY.glob("plugins/*/*/src/**/*.py")]:
        for name in imports(path):
            top = name.partition(".")[0]
            if top in allowed:
                assert path.relative_to(REPOSITORY).as_posix().startswith(allowed[top])


RUN_FILES = {"run.json", "events.jsonl", "agent.log", "group.json", "group.lock", "report.json", "prepared.json"} | {
    "ledger.jsonl",
    "resources.json",
    "snapshots.jsonl",
    "transcript.jsonl",
    "usage.json",
}


def test_only_layout_joins_run_paths():
    for path in [*CORE.rglob("*.py"), *REPOSITORY.glob("cli/src/**/*.py")]:
        if path.name == "layout.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
                assert node.right.value not in RUN_FILES, f"{path}:{node.lineno} joins a run path"
