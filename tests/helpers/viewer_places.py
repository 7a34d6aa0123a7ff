"""Where things are in the run groups that the viewer's tests make."""

TITANIC, DIABETES = "titanic-survival", "diabetes-progression"


def run_of(runs, agent, competition=TITANIC, seed=0):
    """The address of a run's page, without its file."""
    return f"/groups/{runs.group(agent)}/{competition}/{agent}/{seed}"
