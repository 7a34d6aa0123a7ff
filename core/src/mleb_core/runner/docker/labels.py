"""The labels by which mleb finds its own containers again."""

import contextlib
import hashlib
import socket
from collections.abc import Sequence
from pathlib import Path

from mleb_core.layout import RunLayout

__all__ = ["ATTEMPT", "GPUS", "GROUP", "HOST", "RUN", "host_identity", "labels_of", "run_label"]

RUN = "mleb.run"
"""Label: sha256, in hex, of the run's absolute directory."""
GROUP = "mleb.group"
"""Label: the group's absolute directory; once that is gone, so is the reason for the container."""
HOST = "mleb.host"
"""Label: which boot of which machine."""
ATTEMPT = "mleb.attempt"
"""Label: number of the run's attempt."""
GPUS = "mleb.gpus"
"""Label: ids of the GPUs that the container has, separated by commas."""


def run_label(root: Path) -> str:
    """The value of RUN for a run's directory."""
    return hashlib.sha256(bytes(root.absolute())).hexdigest()


def labels_of(root: Path, attempt: int, gpus: Sequence[str] = ()) -> dict[str, str]:
    """The labels of a run's container."""
    root = root.absolute()
    own = {RUN: run_label(root), GROUP: str(RunLayout(root).group.root), HOST: host_identity(), ATTEMPT: str(attempt)}
    return own | ({GPUS: ",".join(gpus)} if gpus else {})


def host_identity() -> str:
    """A hash that is another one on another machine and after another start of this one."""
    digest = hashlib.sha256()
    for path in ("/etc/machine-id", "/proc/sys/kernel/random/boot_id"):
        with contextlib.suppress(OSError):
            digest.update(Path(path).read_bytes())
        digest.update(b"\0")
    digest.update(socket.gethostname().encode())
    return digest.hexdigest()[:32]
