"""Runs aideml itself, by its own interpreter; started by run.py, with the settings in AIDE_SETTINGS.

aideml's search, prompts and program runner are used as they are. What is changed is how it fails:

- model calls: refused ones end AIDE, failing ones are tried again a bounded number of times (aideml: for ever);
  temperature and role are what the model takes;
- reviews: an int is a metric too (aideml: only a float), prose, broken JSON or NaN is a faulty program, and so is a
  metric whose direction is not that of the earlier ones (aideml: crashes, at each later step);
- programs: one that kills its process is a faulty program (aideml: crashes); no program gets more time than is left;
- a step that fails otherwise is tried again; a preview of the data that cannot be made is replaced by a list of files;
- after each step the best submission so far is handed in (keep.py).
"""

import contextlib
import ctypes
import importlib
import json
import math
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from mleb_aide.program.ends import State, one_line
from mleb_aide.program.keep import Keeper

__all__ = ["main"]

FINAL = {
    "authentication_error", "provider_refused_key", "model_not_found", "endpoint_not_found", "not_offered",
    "not_recorded", "insufficient_quota", "invalid_api_key",
}  # fmt: skip
"""Types of errors that another try does not mend."""
SECRETS = ("OPENAI_", "ANTHROPIC_", "AIDE_")
"""Variables that the solutions have no business with."""
PR_SET_PDEATHSIG = 1


class Over(Exception):
    """No more model calls: AIDE ends."""

    def __init__(self, end: str, detail: str) -> None:
        """Args: as `State.write`."""
        super().__init__(detail)
        self.end = end


def main(folder: Path) -> None:
    """Run aideml to its end, and write down how it ended."""
    settings = json.loads(os.environ["AIDE_SETTINGS"])
    end = float(os.environ["AIDE_END"])
    die_with_parent()
    random.seed(int(os.environ.get("MLEB_SEED", "0")))
    state = State(folder / "state.json")
    keeper = Keeper(state, Path(os.environ["MLEB_SUBMISSION"]), Path(os.environ["MLEB_CODE"]))
    try:
        aide: Any = importlib.import_module("aide.run")
        change_models(settings)
        change_programs(settings, end, keeper)
        change_steps(settings)
        change_saving(aide, keeper)
        aide.load_cfg = lambda: configuration(settings, end, folder)
        aide.run()
        state.write("steps")
    except Over as over:
        state.write(over.end, str(over))
    except Exception as error:
        traceback.print_exc()
        state.write("crash", f"{type(error).__name__}: {error}")
    finally:
        for child in multiprocessing.active_children():  # aideml's own end would wait for it for ever
            child.kill()


def configuration(settings: dict[str, Any], end: float, folder: Path) -> Any:
    """The configuration: aideml's own defaults and what is asked for."""
    from aide.utils import config
    from omegaconf import OmegaConf

    stages = {stage: {"model": one["model"], "temp": one["temp"] or 1.0} for stage, one in settings["models"].items()}
    search = {name: settings[name] for name in ("max_debug_depth", "debug_prob", "num_drafts")}
    agent = {name: settings[name] for name in ("steps", "k_fold_validation", "expose_prediction", "data_preview")}
    asked = {
        "data_dir": os.environ["MLEB_DATA"],
        "desc_file": str(folder / "task.md"),
        "log_dir": os.environ["MLEB_LOGS"],
        "workspace_dir": str(folder / "workspaces"),
        "exp_name": "aide",
        "copy_data": settings["copy_data"],
        "generate_report": False,
        "exec": {"timeout": max(1, int(min(settings["exec_s"], end - time.time())))},
        "agent": {**agent, **stages, "search": search},
    }
    plain = config._load_cfg(use_cli_args=False)  # the command line would read paths as YAML
    return config.prep_cfg(OmegaConf.merge(plain, asked))


def change_models(settings: dict[str, Any]) -> None:
    """Bound the model calls."""
    import openai
    from aide.backend import backend_openai

    stages = {one["model"]: one for one in settings["models"].values()}

    def ask(create: Any, _errors: Any, *args: Any, **request: Any) -> Any:
        stage = stages[request["model"]]
        if stage["temp"] is None:
            request.pop("temperature", None)
        if len(request["messages"]) == 1:
            request["messages"] = [{**request["messages"][0], "role": stage["role"]}]
        for number in range(1, settings["model_tries"] + 1):
            try:
                response = create(*args, **request)
                if response.usage is None:  # aideml counts on it
                    response.usage = openai.types.CompletionUsage(prompt_tokens=0, completion_tokens=0, total_tokens=0)
                return response
            except openai.BadRequestError:
                raise  # aideml asks again without tools, where that is what is wrong
            except (openai.APIStatusError, openai.APIConnectionError) as error:
                status = getattr(error, "status_code", None)
                body = error.body if isinstance(error.body, dict) else {}
                told = one_line(str(body.get("message") or error))
                if body.get("type") == "budget_reached":
                    raise Over("budget", told) from error
                what = f"status {status}" if status else "no answer"
                if body.get("type") in FINAL or status in (401, 403, 404):
                    raise Over("model", f"{stage['name']}: {what}: {told}") from error
                if number == settings["model_tries"]:
                    raise Over("model", f"{stage['name']}: {what} {number} times: {told}") from error
                pause = min(60.0, 1.5 * 2 ** (number - 1))
                print(f"aide: {stage['name']}: {what}: {told}; again in {pause:g} s", flush=True)
                time.sleep(pause)
        raise AssertionError

    backend_openai.backoff_create = ask


def change_programs(settings: dict[str, Any], end: float, keeper: Keeper) -> None:
    """Bound the time of programs, survive those that kill their process, see what they write."""
    from aide.interpreter import ExecutionResult, Interpreter

    original_run, original_setup = Interpreter.run, Interpreter.child_proc_setup

    def run(self: Any, code: str, reset_session: bool = True) -> Any:
        left = end - time.time()
        self.timeout = max(1.0, min(settings["exec_s"], left - min(30.0, left * 0.1)))
        started = time.monotonic()
        keeper.before(self.working_dir)
        try:
            result = original_run(self, code, reset_session)
        except Exception as error:
            seconds = time.monotonic() - started
            process = self.process
            exit_code = process.exitcode if process is not None else None
            self.cleanup_session()
            late = seconds > self.timeout
            told = f"after {seconds:.0f} s" if late else f"exit code {exit_code}; was it out of memory?"
            line = f"The program's process ended before the program did ({told}): {one_line(str(error))}"
            result = ExecutionResult([line], seconds, "TimeoutError" if late else "RuntimeError", {}, [])
        keeper.after(self.working_dir)
        return result

    def setup(self: Any, queue: Any) -> None:
        die_with_parent()
        for name in [name for name in os.environ if name.startswith(SECRETS)]:
            del os.environ[name]
        original_setup(self, queue)

    Interpreter.run, Interpreter.child_proc_setup = run, setup


def change_steps(settings: dict[str, Any]) -> None:
    """Survive replies that cannot be read and data that cannot be shown."""
    from aide import agent
    from aide.utils.metric import WorstMetricValue

    original_query, original_parse = agent.query, agent.Agent.parse_exec_result
    original_step, original_preview = agent.Agent.step, agent.Agent.update_data_preview
    failed: list[str] = []

    def query(*args: Any, **request: Any) -> Any:
        if request.get("func_spec") is None:
            return original_query(*args, **request)
        try:
            answer = original_query(*args, **request)
        except json.JSONDecodeError as error:
            answer = f"The review could not be read: {error}"
        return readable(answer)

    def parse_exec_result(self: Any, node: Any, exec_result: Any) -> None:
        original_parse(self, node, exec_result)
        good = self.journal.good_nodes
        if not node.is_buggy and good and good[0].metric.maximize != node.metric.maximize:
            way = "maximized" if good[0].metric.maximize else "minimized"
            node.is_buggy, node.metric = True, WorstMetricValue()
            node.analysis = f"{node.analysis} The metric must be the same as before, one that is {way}."

    def step(self: Any, exec_callback: Any) -> None:
        try:
            original_step(self, exec_callback)
            failed.clear()
        except Over:
            raise
        except Exception as error:
            for node in self.journal.nodes:
                node.children &= set(self.journal.nodes)
            failed.append(one_line(f"{type(error).__name__}: {error}"))
            print(f"aide: step {len(self.journal) + 1} failed: {failed[-1]}", flush=True)
            if len(failed) >= settings["step_tries"]:
                raise

    def update_data_preview(self: Any) -> None:
        try:
            original_preview(self)
        except Exception as error:
            print(f"aide: no preview of the data: {one_line(str(error))}", flush=True)
            names = sorted(path.name for path in (self.cfg.workspace_dir / "input").iterdir())
            self.data_preview = "The data could not be read for a preview. ./input holds: " + ", ".join(names[:200])

    agent.query = query
    agent.Agent.parse_exec_result, agent.Agent.step = parse_exec_result, step
    agent.Agent.update_data_preview = update_data_preview


def readable(answer: Any) -> dict[str, Any]:
    """A review as aideml reads it: prose, or one that lacks something, finds a fault."""
    if not isinstance(answer, dict):
        return {"is_bug": True, "summary": str(answer or ""), "metric": None, "lower_is_better": True}
    metric = answer.get("metric")
    number = isinstance(metric, int | float) and not isinstance(metric, bool) and math.isfinite(metric)
    whole = isinstance(answer.get("is_bug"), bool) and isinstance(answer.get("lower_is_better"), bool)
    return {
        "is_bug": answer["is_bug"] if whole else True,
        "summary": str(answer.get("summary") or ""),
        "metric": float(metric) if number and metric is not None else None,
        "lower_is_better": answer["lower_is_better"] if whole else True,
    }


def change_saving(aide: Any, keeper: Keeper) -> None:
    """Hand in the best submission after each step, and let no drawing of the tree end the search."""
    original = aide.save_run
    state = keeper.state

    def save_run(cfg: Any, journal: Any) -> None:
        if len(journal) == state.steps:
            return  # the step failed
        node = journal.nodes[-1]
        wrote = keeper.made is not None
        handed_in = keeper.reviewed(node)
        state.steps = len(journal)
        state.write()
        tell_steps(state.steps)
        value = "faulty" if node.is_buggy else f"metric {node.metric.value:g}"
        what = "handed in" if handed_in else ("not better" if wrote else "no submission.csv")
        print(f"aide: step {state.steps}: {node.stage_name}, {value}, {what}", flush=True)
        try:
            original(cfg, journal)
        except Exception as error:
            print(f"aide: its log is not whole: {one_line(f'{type(error).__name__}: {error}')}", flush=True)

    aide.save_run = save_run


def tell_steps(steps: int) -> None:
    """Have the run's report count programs, not the two model calls that each of them takes."""
    path = Path(os.environ["MLEB_LOGS"], "steps.json")
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"steps": steps, "unit": "programs"}), encoding="utf-8")
    part.replace(path)


def die_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone (Linux)."""
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(1)
