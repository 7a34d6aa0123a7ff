"""Makes docs/images/demo.svg: a run of the demo, as a terminal of 110 columns shows it.

usage: python docs/images/make.py GROUP
"""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text


def main() -> None:
    """Run `mleb report` in a pseudo-terminal and draw what it prints."""
    command = ["mleb", "report", sys.argv[1]]
    outer, inner = pty.openpty()
    env = {**os.environ, "COLUMNS": "110", "TERM": "xterm-256color", "FORCE_COLOR": "1"}
    process = subprocess.Popen(command, stdout=inner, stderr=inner, env=env)
    os.close(inner)
    output = b""
    while True:
        try:
            part = os.read(outer, 65536)
        except OSError:
            break
        if not part:
            break
        output += part
    process.wait()
    console = Console(record=True, width=110, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ scripts/demo", style="bold"))
    console.print(Text.from_ansi(output.decode().replace("\r\n", "\n")))
    svg = console.export_svg(title="mleb")
    svg = re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL)  # a picture loads nothing from elsewhere
    svg = re.sub(r"<!--.*?-->", "", svg)
    Path(__file__).with_name("demo.svg").write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


if __name__ == "__main__":
    main()
