"""The agent's work from start to end."""

import warnings
from collections.abc import Mapping

from mleb_baseline.guard import Guard
from mleb_baseline.journal import Journal
from mleb_baseline.options import RESERVE, Options, OptionsError

__all__ = ["work"]


def work(environ: Mapping[str, str], guard: Guard) -> int:
    """Hand in the sample at once, then ever better predictions.

    Returns:
        0 when a submission was left, else 1. Whatever goes wrong is one line of output.
    """
    try:
        options = Options.read(environ)
    except OptionsError as error:
        print(error, flush=True)
        return 1
    guard.limit(options.seconds)
    journal = Journal(options.logs, options.code, guard)
    warnings.simplefilter("ignore")
    try:
        _work(options, guard, journal)
    except Exception as error:  # an agent ends with what it has, and a line that says why
        text = " ".join(str(error).split())[:300]
        left = "the submission so far stands" if guard.handed_in else "no submission"
        journal.say(f"stopped by {type(error).__name__}: {text}; {left}")
    return guard.code


def _work(options: Options, guard: Guard, journal: Journal) -> None:
    # Imported step by step: the sample is handed in before scikit-learn is there.
    from mleb_baseline.sample import NoSampleError, find_sample
    from mleb_baseline.submission import Submission
    from mleb_baseline.tables import UnreadableError

    try:
        sample, source, tables = find_sample(options.data)
    except NoSampleError as error:
        journal.say(str(error))
        return
    submission = Submission(options.submission, sample, guard)
    submission.put({})
    journal.say(f"handed in {source.label}: {len(sample)} rows, columns {', '.join(map(str, sample.columns[:12]))}")

    from mleb_baseline.look import look

    try:
        task = look(options.data, sample, tables)
    except UnreadableError as error:
        journal.say(f"{error}; the sample submission stands")
        return
    journal.task(task)
    if task.train is None:
        journal.say("the sample submission stands")
        return

    from mleb_baseline.solve import solve

    solve(task, options, guard, journal=journal, submission=submission, share=1 - RESERVE)
    journal.say("done")
