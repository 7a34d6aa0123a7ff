"""What a scaffold wants started, asked for in the one way that all runners share."""

from mleb_core.agent import AgentPaths, Launch, LaunchContext, launch_of
from mleb_core.runner.protocol import Job

__all__ = ["launch_for", "objection"]


def launch_for(job: Job, paths: AgentPaths, python: str) -> Launch:
    """The command, environment and files that the scaffold of a run gives.

    Args:
        job: the run.
        paths: where things are for the agent.
        python: the interpreter that has the scaffold's package, as the agent reaches it.

    Raises:
        UsageError: the scaffold refuses its variant, model or settings.
        PluginError: as `launch_of`.
    """
    context = LaunchContext(
        competition_id=job.env.get("COMPETITION_ID", job.key.competition.partition("@")[0]),
        seed=job.key.seed,
        variant=job.variant,
        model=job.model,
        settings=job.settings,
        time_limit_s=job.limits.time_s,
        step_limit=job.limits.steps,
        paths=paths,
        python=python,
    )
    launch = launch_of(job.scaffold, context)
    return Launch([str(argument) for argument in launch.argv], dict(launch.env), dict(launch.files))


def objection(launch: Launch) -> str | None:
    """Why a command cannot be started by anyone, in one line; None: it may be."""
    if not launch.argv:
        return "cannot start the agent: its command is empty"
    name = launch.argv[0] if launch.argv[0].isprintable() else ascii(launch.argv[0])
    if any("\0" in text for text in (*launch.argv, *launch.env, *launch.env.values())):
        return f"cannot start {name}: embedded null byte"
    if any("=" in variable for variable in launch.env):
        return f"cannot start {name}: a variable's name has a = in it"
    return None
