"""What a competition's prepare.py gets, and how its code is loaded.

# <id>/prepare.py
from mleb_core.prepare import Preparation, write_csv

def prepare(context: Preparation) -> None:
    recipe = context.recipe()                          # carries out [prepare] of competition.toml first
    sample = recipe.test[["id"]].assign(score=...)
    write_csv(sample, context.public / "sample_submission.csv")
"""

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mleb_core.competition import Competition
from mleb_core.errors import CompetitionError, MlebError, PreparationError
from mleb_core.prepare.problems import explained, flat

if TYPE_CHECKING:
    from mleb_core.prepare.declared import Declared

__all__ = ["Preparation", "code_of"]


def _silent(_: str) -> None: ...


@dataclass(frozen=True)
class Preparation:
    """One preparation under way."""

    raw: Path
    """The raw data; to be read only."""
    public: Path
    """Empty at first; becomes what an agent may see. description.md is added afterwards."""
    private: Path
    """Empty at first; becomes what it may not."""
    work: Path
    """Scratch folder on the same file system; removed afterwards."""
    edition: int
    """1 as published."""
    competition: Competition
    """The competition, in that edition."""
    own_raw: bool = False
    """Whether raw is mleb's own or given for that, so that its files may be hard linked (`copy_files(own=...)`)."""
    progress: Callable[[str], None] = field(default=_silent)
    """Tells the user what is being done: a few words."""

    def recipe(self) -> "Declared":
        """Carry out the declared recipe; gives its tables and its split to go on with.

        Raises:
            PreparationError: raw data is missing, broken or not what the recipe needs.
            CompetitionError: competition.toml declares no recipe.
        """
        from mleb_core.prepare.declared import Declared
        from mleb_core.prepare.sources import Sources

        spec = self.competition.spec
        if spec.prepare is None:
            raise CompetitionError(f"{self.competition.folder / 'competition.toml'}: prepare: expected for a recipe")
        declared = Declared(
            spec.prepare,
            Sources(self.raw, self.work),
            self.public.parent,
            ids=spec.grading.id,
            own=self.own_raw,
            progress=self.progress,
        )
        declared.run()
        return declared


@contextmanager
def code_of(path: Path, function: str) -> Iterator[Callable[..., object]]:
    """A function of a Python file in a competition's folder, for the time of the block.

    The file is run under a private name; nothing is written beside it, and no module stays behind.
    What goes wrong in it is one line that names the file and the line in it.

    Raises:
        CompetitionError: the file does not run, or has no such function.
        PreparationError: the function failed.
    """
    name = f"_mleb_competition_{abs(hash(path))}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses and the like look their module up while it runs
    try:
        try:
            exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)  # noqa: S102 - a competition's own code
            found = getattr(module, function, None)
        except MlebError:
            raise
        except Exception as error:
            raise CompetitionError(f"{_place(path, error)}: {type(error).__name__}: {flat(error)}") from error
        if not callable(found):
            raise CompetitionError(f"{path}: a function `{function}` is expected in it")
        try:
            yield found
        except MlebError:
            raise
        except OSError as error:
            raise explained(error, _place(path, error)) from error
        except Exception as error:
            raise PreparationError(f"{_place(path, error)}: {type(error).__name__}: {flat(error)}") from error
    finally:
        del sys.modules[name]


def _place(path: Path, error: BaseException) -> str:
    """`file:line` of the last line of the file that the error went through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
