"""What tests of images share: an agent that wants one, and the engine's command line."""

import subprocess

from mleb_core.runner.docker.images import BuiltImage


class Scaffold:
    """An agent whose image is as a test wants it."""

    summary = "For a test."

    def __init__(self, id, image):
        self.id, self.image = id, image

    def variants(self):
        return ()

    def launch(self, context):
        raise NotImplementedError


def docker(*arguments):
    return subprocess.run(["docker", *arguments], capture_output=True, text=True)


def images_of(id):
    """All that the engine has of an agent's images, intermediate ones too."""
    return docker("images", "-aq", "--no-trunc", "--filter", f"label=mleb.scaffold={id}").stdout.split()


def run_in(image: BuiltImage, *command):
    done = docker("run", "--rm", "--network=none", "--read-only", image.reference, image.python, *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
