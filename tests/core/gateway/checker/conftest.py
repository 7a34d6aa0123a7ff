"""The gateway's desk where submissions are checked."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checker_desk import KEY, Desk, Says

from mleb_core.gateway import Gateway, GatewayLimits
from mleb_core.layout import RunLayout
from mleb_core.run import RunKey


@pytest.fixture
def desk(tmp_path: Path) -> Callable[..., contextlib.AbstractContextManager[Desk]]:
    @contextlib.contextmanager
    def make(checker: Any = None, **options: Any) -> Iterator[Desk]:
        layout = RunLayout(tmp_path / "run")
        layout.root.mkdir(exist_ok=True)
        told: list[tuple[RunKey, dict[str, Any]]] = []
        unix = options.pop("own", None)
        options = {"limits": GatewayLimits(**{"checks_a_minute": 1000, **options})}
        with Gateway(on_check=lambda key, facts: told.append((key, facts)), **options) as gateway:
            token = gateway.register_run(KEY, layout, checker=checker or Says(), unix=unix)
            at = Desk(gateway, layout, token, told)
            yield at
            assert gateway.problems == ()
            assert at.leftovers() == []

    return make
