"""The dummy agent: `python -m mleb_dummy` in the environment of a run."""

import json
import os
import sys
from pathlib import Path

from mleb_dummy.contract import examine
from mleb_dummy.sample import NoSampleError, hand_in


def main() -> int:
    """Hand in the sample submission, then write `contract.json` into the logs and print it as lines.

    Returns:
        0 when a submission was handed in, else 1.
    """
    try:
        source = hand_in(_directory("MLEB_DATA"), _directory("MLEB_SUBMISSION"))
    except (NoSampleError, OSError) as error:
        source, problem = None, str(error)
        code = 1
    else:
        problem = ""
        code = 0
    contract = examine(os.environ)
    contract["sample"] = source
    for line in contract["lines"]:
        print(line)
    if logs := os.environ.get("MLEB_LOGS"):
        try:
            Path(logs, "contract.json").write_text(json.dumps(contract, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            print(f"contract.json cannot be written: {error}")
    print(f"handed in: {source}" if code == 0 else f"nothing handed in: {problem}", flush=True)
    return code


def _directory(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        raise NoSampleError(f"{variable} is not set; start this agent with mleb eval")
    return Path(value)


if __name__ == "__main__":
    sys.exit(main())
