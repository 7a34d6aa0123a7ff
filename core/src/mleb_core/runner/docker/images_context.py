"""What an image is built from: the Dockerfile and its build context, and the hash that names the result.

A scaffold's layer on a base image:

    FROM <base>                     its Dockerfile text, then `pip install` of its requirements, then its packages,
    LABEL mleb.image=1 ...          copied to /opt/mleb/packages, which a .pth file makes known to its Python

Packages come last, so that a change of a plugin's code repeats nothing else. Copied packages must be pure Python or fit
the image's Python. mleb_core is not copied unless the scaffold's `Image.packages` names it: the program of an agent
gets all it needs from its environment, and scaffolds themselves run in the harness.
"""

import hashlib
import io
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mleb_core.agent import Image, Scaffold, image_of
from mleb_core.errors import PluginError
from mleb_core.runner.docker.images_packages import File, package_files

__all__ = ["BASE", "HASH", "LABELLED", "PACKAGES", "SCAFFOLD", "Context", "repository", "scaffold_context"]

LABELLED = "mleb.image"
"""Label of every image that mleb builds; its value is 1."""
SCAFFOLD = "mleb.scaffold"
"""Label: id of the scaffold; on a base image, the base's name."""
BASE = "mleb.base"
"""Label of a scaffold's image: the id of the image under it."""
HASH = "mleb.hash"
"""Label: the hash that the tag holds."""
PACKAGES = "/opt/mleb/packages"
"""Where copied packages lie in an image."""
RECIPE = "1"
"""Goes into the hash; raise it when the same context is to give another image."""

SETUP = f'''\
"""Makes {PACKAGES} known to this Python, and compiles what is in it: an agent's file system is read-only."""
import compileall, importlib.util, os, py_compile, site, sys
folder = site.getsitepackages()[0]
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, "mleb.pth"), "w") as stream:
    stream.write("{PACKAGES}\\n")
compileall.compile_dir("{PACKAGES}", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
sys.path.append("{PACKAGES}")
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
sys.exit(f"not found by {{sys.executable}}: {{', '.join(missing)}}" if missing else 0)
'''


@dataclass(frozen=True)
class Context:
    """All that an image is built from."""

    name: str
    """Name of the image: a scaffold's id, or a base's name."""
    dockerfile: str
    """Its text; FROM names the base by its id."""
    files: Mapping[str, File]
    """What COPY takes, by relative path."""
    network: bool
    """Whether the build may need the network; if not, it gets none."""

    @property
    def hash(self) -> str:
        """16 hex digits over all of it: names, contents and modes of files, no times."""
        digest = hashlib.sha256(RECIPE.encode())
        for path, file in sorted({**self.files, "Dockerfile": File(self.dockerfile.encode())}.items()):
            digest.update(f"\0{path}\0{file.executable:d}\0{len(file.content)}\0".encode())
            digest.update(file.content)
        return digest.hexdigest()[:16]

    @property
    def reference(self) -> str:
        """`mleb/<name>:<hash>`; Docker knows no capitals in names."""
        return f"mleb/{repository(self.name)}:{self.hash}"

    def archive(self) -> bytes:
        """The build context as Docker takes it; the same bytes for the same content."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path, file in sorted({**self.files, "Dockerfile": File(self.dockerfile.encode())}.items()):
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(file.content), 0o755 if file.executable else 0o644
                tar.addfile(entry, io.BytesIO(file.content))
        return packed.getvalue()


def repository(name: str) -> str:
    """A scaffold's id as a part of an image's name."""
    plain = re.sub(r"[^a-z0-9]+", lambda match: match[0] if match[0] in ("-", "_", ".") else "-", name.lower())
    plain = plain.strip("-_.") or "agent"
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def scaffold_context(scaffold: Scaffold, base_id: str, settings: Mapping[str, Any] | None = None) -> Context:
    """What a scaffold's image is built from.

    Args:
        scaffold: its `image_of` has no `reference`.
        base_id: id (`sha256:...`) of the image to build on.
        settings: of the agent, on which its image may depend.

    Raises:
        PluginError: its `image` asks for what cannot be.
    """
    image = image_of(scaffold, settings)
    agent = scaffold.id
    _check(image, agent)
    files = {path: File(content) for path, content in image.files.items()}
    for package in image.packages:
        files |= {f"packages/{path}": file for path, file in package_files(package, agent).items()}
    lines = [f"FROM {base_id}", f"LABEL {LABELLED}=1 {SCAFFOLD}={agent} {BASE}={base_id}", "USER root"]
    if image.dockerfile.strip():
        lines += [image.dockerfile.strip(), "USER root"]
    if image.requirements:
        files["requirements.txt"] = File("".join(f"{line}\n" for line in image.requirements).encode())
        lines += [
            "COPY requirements.txt /opt/mleb/requirements.txt",
            "ARG PIP_INDEX_URL",
            "ARG PIP_EXTRA_INDEX_URL",
            f"RUN {image.python} -m pip install --no-cache-dir --disable-pip-version-check "
            "-r /opt/mleb/requirements.txt",
        ]
    if image.packages:
        files["setup.py"] = File(SETUP.encode())
        lines += [
            f"COPY packages {PACKAGES}",
            "COPY setup.py /opt/mleb/setup.py",
            f"RUN {image.python} /opt/mleb/setup.py {' '.join(image.packages)}",
        ]
    lines += ["WORKDIR /home", "USER 1000:1000"]
    network = bool(image.requirements or image.dockerfile.strip())
    return Context(agent, "\n".join(lines) + "\n", files, network)


def _check(image: Image, agent: str) -> None:
    """Raises PluginError."""
    for path in image.files:
        parts = PurePosixPath(path).parts
        reserved = parts[:1] in {("packages",), ("Dockerfile",), ("requirements.txt",), ("setup.py",)}
        if not parts or path.startswith("/") or ".." in parts or "\0" in path:
            raise PluginError(f"agent {agent}: its image has a file outside of the build context: {path!r}")
        if reserved or parts[0] == ".dockerignore":
            raise PluginError(f"agent {agent}: its image has a file {path!r}, a name that mleb uses; choose another")
    for line in image.requirements:
        if "\n" in line or line.startswith("-") or not ("==" in line or " @ " in line):
            raise PluginError(f"agent {agent}: its image requires {line!r}, expected something pinned, NAME==VERSION")
    if re.search(r"^\s*FROM\s", image.dockerfile, re.MULTILINE | re.IGNORECASE):
        raise PluginError(f"agent {agent}: its image's Dockerfile text has a FROM; name a whole image as `reference`")
    if not image.python or any(c.isspace() for c in image.python):
        raise PluginError(f"agent {agent}: its image's python is {image.python!r}, expected a program")
