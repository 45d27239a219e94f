"""What people see: tables and lines of text, in colour on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.markup import escape

from project.model import Problem, Project
from rowcast.summary import UNSENT
from workbench.keys import text_of
from workbench.options import counted
from workbench.running import Execution, Progress
from workbench.tables import Rows

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
COLOURS = {
    "completed": "green",
    "planned": "cyan",
    "accepted": "green",
    "running": "cyan",
    "failed": "red",
    "rejected": "red",
    "held": "yellow",
    "in_doubt": "yellow",
    "already_running": "yellow",
    "abandoned": "dim",
    "added": "green",
    "changed": "yellow",
    "removed": "red",
}


def coloured(word: str) -> str:
    colour = COLOURS.get(word)
    return f"[{colour}]{escape(word)}[/]" if colour else escape(word)


def problems(found: list[Problem]) -> None:
    err.print(f"[bold red]{counted(len(found), 'problem')} in the project's configuration[/]")
    for one in found:
        place = one.file if one.line is None else f"{one.file}:{one.line}"
        err.print(f"\n[bold]{escape(place)}[/]" + (f"  [cyan]{escape(one.path)}[/]" if one.path else ""))
        err.print(f"    {escape(one.message)}")
        if one.expected:
            err.print(f"    [dim]expected:[/] {escape(one.expected)}")
        if one.suggestion:
            err.print(f"    [dim]did you mean:[/] [green]{escape(one.suggestion)}[/]")


def valid(loaded: Project) -> None:
    out.print(f"[green]valid[/]  {escape(loaded.name)}")
    rows = Rows("SYNC", "SOURCE", "KEY", "DESTINATION", "SCHEDULE")
    for sync in loaded.syncs.values():
        definition = sync.definition
        destination = definition.destination
        name = getattr(destination, "function", None) or "EventBridge"
        key = ", ".join(definition.primary_key)
        rows.add_row(*map(escape, (sync.name, definition.source.name, key, name, sync.schedule.expression or "manual")))
    out.print(rows)


def local(facts: dict[str, Any]) -> None:
    if not facts["running"]:
        out.print("The embedded AWS is [yellow]not running[/]. Start it with: rowcast local up")
        return
    out.print(f"The embedded AWS is [green]running[/] at {facts['endpoint']} (process {facts['pid']})")
    out.print(f"  account {facts['account']}, region {facts['region']}, stack {facts['stack'] or 'not deployed'}")
    out.print(f"  syncs: {escape(', '.join(facts['syncs'])) or 'none'}")


def followed(execution: Execution, *, quiet: bool) -> dict[str, Any]:
    """Follows the run to its end with a line that changes on a terminal, or a line per news elsewhere."""
    try:
        _follow(execution, quiet=quiet)
    except KeyboardInterrupt:
        told = f"Not followed any further; the run goes on. To look at it: rowcast runs {escape(execution.sync)}"
        err.print(f"\n{told}")
        raise
    return execution.result()


def _follow(execution: Execution, *, quiet: bool) -> None:
    if quiet:
        for _ in execution.follow(watch=False):
            pass
    elif out.is_terminal:
        with out.status(f"{execution.sync}: starting") as line:
            for progress in execution.follow(watch=True):
                line.update(f"{escape(execution.sync)}: {_progress(progress)}")
    else:
        told = ""
        for progress in execution.follow(watch=True):
            if (text := _progress(progress)) != told:
                out.print(f"{execution.sync}: {text}")
                told = text


def _progress(progress: Progress) -> str:
    parts = []
    if progress.rows is not None:
        parts.append(f"{counted(progress.rows, 'row')} read")
    if progress.partitions is not None:
        parts.append(f"{progress.diffed:,} of {counted(progress.partitions, 'partition')} diffed")
    if progress.changes is not None:
        parts.append(f"{progress.sent:,} of {counted(progress.changes, 'change')} sent")
    return ", ".join(parts) or {"open": "reading the source", "starting": "starting"}.get(
        progress.phase, progress.phase
    )


def result(record: dict[str, Any]) -> None:
    """The accounting at the end of a run."""
    if record["status"] == "already_running":
        out.print(f"[yellow]already running[/]  {escape(record['sync'])} (run {record['run']}): nothing was started")
        return
    seconds = f"{record['seconds']:.1f} s" if record["seconds"] is not None else ""
    out.print(f"{coloured(record['status'])}  [bold]{escape(record['sync'])}[/]  run {record['run']}  {seconds}")
    if record["reason"]:
        out.print(f"  {escape(record['reason'])}")
    sides = _sides(record)
    changes = f"{sides['added']:,} added, {sides['changed']:,} changed, {sides['removed']:,} removed"
    skipped = f", {record['skipped']:,} skipped" if record["skipped"] else ""
    out.print(f"  {counted(record['rows'], 'row')} read: {changes}{skipped}")
    outcomes = f"{record['accepted']:,} accepted, {record['rejected']:,} rejected, {record['in_doubt']:,} in doubt"
    owed = f"; owed {record['owed_before']:,} before, {record['owed_after']:,} after"
    out.print(f"  {outcomes}{owed if record['owed_before'] or record['owed_after'] else ''}")
    if record.get("left_out"):
        from workbench.show_plan import left_out

        out.print(f"  {escape(left_out(record['left_out']))}")
    if record["owed_after"]:
        out.print(f"  [dim]to list them: rowcast rejects {escape(record['sync'])}[/]")
    _columns(record)


def _sides(record: dict[str, Any]) -> dict[str, Any]:
    """The changes; of a run that sent none those that it found, since a person decides on them."""
    sides: dict[str, Any] = record["found"] if record["status"] in UNSENT else record
    return sides


def _columns(record: dict[str, Any]) -> None:
    for word, names in (("added", record.get("columns_added")), ("dropped", record.get("columns_dropped"))):
        if names:
            out.print(f"  columns {word}: {escape(', '.join(names))}")


def runs(records: list[dict[str, Any]]) -> None:
    if not records:
        out.print("No runs yet. Start one with: rowcast run SYNC")
        return
    numbers = ("ROWS", "CHANGES", "ACCEPTED", "OWED")
    rows = Rows("RUN", "SYNC", "MODE", "STATUS", *numbers, numbers=numbers, may_go=("ACCEPTED", "MODE", "ROWS"))
    for one in records:
        sides = _sides(one)
        changes = f"+{sides['added']} ~{sides['changed']} -{sides['removed']}"
        counts = (f"{one['rows']}", changes, f"{one['accepted']}", f"{one['owed_after']}")
        rows.add_row(one["run"], escape(one["sync"]), one["mode"], coloured(one["status"]), *counts)
    out.print(rows)


def run_info(record: dict[str, Any]) -> None:
    out.print(f"[bold]{record['run']}[/]  {escape(record['sync'])}  {coloured(record['status'])}")
    sides = _sides(record)
    result_lines = {
        "mode": record["mode"] if record["mode"] != "run" else "",
        "asked by": record["requested_by"],
        "because": record["because"],
        "held run": record["decides"],
        "started": record["started_at"],
        "ended": record["ended_at"] or "not yet",
        "seconds": record["seconds"],
        "phase": record["phase"],
        "generation": record["generation"],
        "rows": record["rows"],
        "partitions diffed": record["partitions_diffed"],
        "chunks": record["chunks"],
        "changes": f"{sides['added']} added, {sides['changed']} changed, {sides['removed']} removed",
        "skipped": record["skipped"],
        "left out": "; ".join(f"{count}: {reason}" for reason, count in record.get("left_out", {}).items()),
        "outcomes": f"{record['accepted']} accepted, {record['rejected']} rejected, {record['in_doubt']} in doubt",
        "sends": record["attempts"],
        "owed": f"{record['owed_before']} before, {record['owed_after']} after",
        "columns added": ", ".join(record["columns_added"]) or "none",
        "columns dropped": ", ".join(record["columns_dropped"]) or "none",
        "reason": record["reason"] or record["stopped"],
        "execution": record["execution"],
    }
    for name, value in result_lines.items():
        if value != "" and value is not None:
            out.print(f"  [dim]{name:<18}[/]{escape(str(value))}")
    if record["reasons"]:
        rows = Rows("ROWS", "OUTCOME", "REASON", numbers=("ROWS",), wide={"REASON": 1})
        for one in record["reasons"]:
            rows.add_row(str(one["rows"]), coloured(one["outcome"]), escape(one["reason"]))
        out.print(rows)


def events(records: Iterable[dict[str, Any]], *, follow: bool = False) -> None:
    """Each line is printed when it arrives, so the columns have fixed widths."""
    if follow:
        err.print("[dim]Waiting for what arrives; Ctrl-C ends it.[/]")
    empty = True
    for one in records:
        if empty:
            out.print(f"[bold]{'TIME':<8}  {'SYNC':<14}  {'OPERATION':<9}  {'TARGET':<8}  WHAT[/]")
            empty = False
        operation = one["operation"] or ""
        place = f"[dim]{one['time'][11:19]}[/]  {escape(one['sync'] or ''):<14}  {coloured(operation)}"
        target = f"{' ' * (9 - len(operation))}  {escape(one['target'] or ''):<8}"
        out.print(f"{place}{target}  {_what(one)}", no_wrap=True, overflow="ellipsis")
    if empty:
        out.print("Nothing has arrived.")


def _what(one: dict[str, Any]) -> str:
    if "payload" in one:
        error = f" [red]{escape(one['function_error'])}[/]" if one["function_error"] else ""
        rows = one["payload"].get("rows")
        return f"{escape(text_of(rows))} [dim]→[/]{error} {escape(text_of(one['reply']))}"
    return f"{escape(one['detail-type'] or '')} {escape(text_of(one['detail']))}"


def iso(seconds: float) -> str:
    from workbench.local.arrivals import iso as as_iso

    return as_iso(seconds)
