"""`mleb image`: the container images that agents run in."""

import contextlib
from functools import partial
from typing import Annotated, Any

import typer

from mleb.options import AsJson, option
from mleb.output import print_error, print_json, print_line, print_notice, print_table, stdout_kept
from mleb_core.errors import MlebError, UsageError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(rich_markup_mode=None, no_args_is_help=True)
    group.callback()(lambda: None)
    group.command("build")(build_command)
    group.command("list")(list_command)
    group.command("prune")(prune_command)
    app.add_typer(group, name="image", help="Build, list and remove the container images that agents run in.")


def build_command(
    agents: Annotated[
        list[str] | None,
        typer.Argument(help="Agents; none: mleb's base image alone.", metavar="AGENT", show_default=False),
    ] = None,
    every: Annotated[bool, option("--all", help="Every agent that is installed.")] = False,
    base: Annotated[
        str | None, option("--base", help="Build on this image instead of mleb's own.", metavar="IMAGE")
    ] = None,
    gpu: Annotated[bool, option("--gpu", help="Build on mleb's base image for GPUs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Build the images of agents, and mleb's base image under them.

    What is there with the same content is not built again. mleb's base image and what agents install need the network.
    """
    if agents and every:
        raise UsageError("choose one of AGENT and --all")
    if base is not None and gpu:
        raise UsageError("choose one of --base and --gpu")
    if base is not None and not (agents or every):
        raise UsageError("--base is what agents' images are built on; name agents, or --all")
    from mleb.render import Steps
    from mleb_core.registry import Registry
    from mleb_core.runner.docker.client import connect
    from mleb_core.runner.docker.images import build_base, build_image
    from mleb_core.runner.docker.images_base import base_name

    rows: list[dict[str, Any]] = []
    with stdout_kept():
        registry = Registry()
        scaffolds = [registry.scaffold(agent)[0] for agent in agents or ()]
        if every:
            scaffolds = list(registry.scaffolds.values())
        scaffolds = list({scaffold.id: scaffold for scaffold in scaffolds}.values())
        with contextlib.closing(connect()) as client, Steps(max(1, len(scaffolds))) as steps:
            if not scaffolds:
                made = build_base(client, gpus=gpu, tell=partial(steps.tell, base_name(gpu)))
                rows.append({"agent": None, "image": made.reference, "digest": made.digest, "error": None})
            for scaffold in scaffolds:
                row: dict[str, Any] = {"agent": scaffold.id, "image": None, "digest": None, "error": None}
                try:
                    tell = partial(steps.tell, scaffold.id)
                    made = build_image(client, scaffold, base=base, gpus=gpu, tell=tell)
                    row |= {"image": made.reference, "digest": made.digest}
                except UsageError:
                    raise
                except MlebError as error:
                    row["error"] = str(error)
                    steps.fail(str(error))
                rows.append(row)
                steps.advance()
    failed = [row["agent"] for row in rows if row["error"]]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            if row["image"]:
                print_line(f"{row['agent']}  {row['image']}" if row["agent"] else row["image"])
    if len(failed) > 1 or (failed and len(rows) > 1):
        print_notice(f"{len(failed)} of {len(rows)} images could not be built: {', '.join(failed)}")
    if failed:
        raise typer.Exit(1)


def list_command(as_json: AsJson = False) -> None:
    """List the images that mleb built.

    current: what would be built today. in use: a container has it. old: today something else would be built. gone: its
    agent or its base image is not here any more. broken off: left of a build that did not end.
    """
    from mleb_core.registry import Registry
    from mleb_core.runner.docker.client import connect
    from mleb_core.runner.docker.images_prune import own_images

    with stdout_kept(), contextlib.closing(connect()) as client:
        images = own_images(client, Registry().scaffolds)
    if as_json:
        print_json([vars(image) for image in images])
    else:
        from mleb_core.kaggle.words import readable_size

        rows = [[i.reference, i.scaffold, i.state, readable_size(i.size_bytes), i.created[:19]] for i in images]
        print_table(["image", "for", "state", "size", "created"], rows)


def prune_command(
    agents: Annotated[
        list[str] | None,
        typer.Argument(help="Of these agents only, installed or not.", metavar="AGENT", show_default=False),
    ] = None,
    dry_run: Annotated[bool, option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove those of mleb's images that are of no use any more.

    Those that are current or in use stay; see `mleb image list`. An image that mleb did not build is never removed.
    """
    from mleb_core.registry import Registry
    from mleb_core.runner.docker.client import connect
    from mleb_core.runner.docker.images_prune import own_images, prune

    failures: list[str] = []
    with stdout_kept(), contextlib.closing(connect()) as client:
        images = own_images(client, Registry().scaffolds)
        removed = [image for image in images if not image.wanted and (not agents or image.scaffold in agents)]
        if not dry_run:
            removed, failures = prune(client, removed)
    if as_json:
        print_json(
            {"dry_run": dry_run, "removed": [vars(image) for image in removed], "failed": failures},
        )
    else:
        for image in removed:
            print_line(f"{image.reference}  {image.state}")
    for failure in failures:
        print_error(failure)
    print_notice(f"{len(removed)} images {'would be ' if dry_run else ''}removed")
    if failures:
        raise typer.Exit(1)
