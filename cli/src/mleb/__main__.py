"""`python -m mleb`: the command where its script is not on the path."""

import sys

from mleb.app import main

sys.exit(main())
