"""Run by OpenHands' own Python: several conversations, each in a process of its own, for the time of one start.

usage: python forks.py SOURCES CASES.json        CASES: {name: environment}; the last lines go to stdout, as JSON
"""

import json
import os
import sys
from pathlib import Path

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True"}
os.environ |= {"OPENHANDS_SUPPRESS_BANNER": "1", "LOG_LEVEL": "ERROR"}
sys.path.insert(0, sys.argv[1])

from openhands.sdk import LLM, Agent, LocalConversation  # noqa: F401
from openhands.tools.preset.default import get_default_tools

from mleb_opendevin.program import inside, run
from mleb_opendevin.program.ends import State, handed_in

get_default_tools(enable_browser=False)
cases = {}
for name, env in json.loads(Path(sys.argv[2]).read_text()).items():
    os.environ.update(env)
    folder = Path(env["HOME"])
    child = os.fork()
    if child == 0:
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        inside.main(folder)
    cases[name] = child, env
told = {}
for name, (child, env) in cases.items():
    os.waitpid(child, 0)
    os.environ.update(env)
    state = State(Path(env["HOME"], "state.json"))
    state.read()
    told[name] = run.verdict(state, "ended", handed_in())
print(json.dumps(told))
