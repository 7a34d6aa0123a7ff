"""The commands by name. A command's module is imported when the command is asked for, never for `mleb --help`.

Each module has `register(app)`, which adds its commands to a `typer.Typer`.
"""

from typing import NamedTuple

__all__ = ["COMMANDS", "CommandInfo"]


class CommandInfo(NamedTuple):
    """What the help says of a command without importing it."""

    module: str
    """Where it is."""
    summary: str
    """One line, equal to the first line of the command's own help."""


COMMANDS = {
    "eval": CommandInfo("mleb.commands.eval", "Run agents on competitions, grade what they hand in, and report."),
    "sweep": CommandInfo(
        "mleb.commands.sweep",
        "Run a study: named arms from a file, each a run group; a second call does what is left.",
    ),
    "prepare": CommandInfo("mleb.commands.prepare", "Make the data of competitions ready for agents and graders."),
    "grade": CommandInfo("mleb.commands.grade", "Grade submissions that are listed in a file of JSON lines."),
    "grade-sample": CommandInfo("mleb.commands.grade", "Grade one submission of one competition."),
    "cancel": CommandInfo("mleb.commands.cancel", "Cancel runs of a group while the others go on."),
    "status": CommandInfo("mleb.commands.status", "Show how a run group goes: queue, places, costs, estimated end."),
    "report": CommandInfo("mleb.commands.report", "Show the results of run groups."),
    "compare": CommandInfo("mleb.commands.compare", "Compare two agents, run by run of the same competition and seed."),
    "view": CommandInfo("mleb.commands.view", "Show run groups in a browser, live while runs go on."),
    "import": CommandInfo(
        "mleb.commands.import_", "Make run groups of another harness's results, in MLE-bench's layout."
    ),
    "verify": CommandInfo("mleb.commands.verify", "Check a run group: its ledgers, kept files, scores and reports."),
    "audit": CommandInfo(
        "mleb.commands.audit", "Look for leaks in prepared data, and for what finished runs should not do."
    ),
    "attest": CommandInfo(
        "mleb.commands.attest", "Make one page of what ran, what was checked of it, and what was not."
    ),
    "list": CommandInfo("mleb.commands.list", "List what is installed: competitions, agents, graders, and more."),
    "plugin": CommandInfo("mleb.commands.plugin", "Look at the plugins that are installed."),
    "image": CommandInfo("mleb.commands.image", "Build, list and remove the container images that agents run in."),
    "clean": CommandInfo("mleb.commands.clean", "Remove containers that nobody will come back for."),
    "doctor": CommandInfo("mleb.commands.doctor", "Say what is here, what is missing, and what to do about it."),
    "schema": CommandInfo("mleb.commands.schema", "Print the JSON Schema of the reports."),
}
"""In the order of the help."""
