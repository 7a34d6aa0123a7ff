"""`python FOLDER` of the folder that the scaffold puts into the agent's home.

Without arguments: run.py, which starts it again with one, inside.py.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    if len(sys.argv) == 1:
        from mleb_opendevin.program.run import main

        sys.exit(main())
    from mleb_opendevin.program import inside

    inside.main(Path(sys.argv[1]))
