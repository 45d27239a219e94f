"""docs/reference/commands.md: every command with its options, as the command line itself tells them."""

from __future__ import annotations

from collections.abc import Iterator

import click

from workbench.cli import cli

HEAD = """# Commands and options

Every command as `rowcast COMMAND --help` tells it; made by `make reference`. [The command line](cli.md) says what they
mean, with exit codes and the fields of their JSON.

Before any command: `--project DIR`, the folder with `rowcast.yaml` and `syncs/`; `--version`; `-h`, `--help`.
"""


def page() -> str:
    return "\n".join([HEAD, *(_section(path, command) for path, command in every())])


def every(group: click.Group = cli, before: str = "rowcast") -> Iterator[tuple[str, click.Command]]:
    """All commands with their whole names, in the order of the alphabet."""
    for name in sorted(group.commands):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from every(command, f"{before} {name}")
        else:
            yield f"{before} {name}", command


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path)
    usage = " ".join([path, *(piece for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]")])
    lines = [f"## {path.removeprefix('rowcast ')}\n", f"`{usage}`\n", f"{_cell(command.help or '')}\n"]
    lines += ["| option | what it does |", "|---|---|"]
    for option in command.params:
        if isinstance(option, click.Option) and (record := option.get_help_record(context)):
            lines.append(f"| `{_cell(record[0])}` | {_cell(record[1])} |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.replace("\b", "").split()).replace("|", "\\|")
