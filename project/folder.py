"""Reads a user's folder: all of it, or all of its mistakes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from project import compile as to
from project import meaning, schema, structure
from project.alerts import channel
from project.document import Document, read
from project.model import LocalFunction, Problem, Project, ProjectInvalid, Sync
from rowcast.definition import PostgresSource, SecretRef, Source

MAIN = "rowcast.yaml"
SYNCS = "syncs"
DEFAULT_NAME = "Rowcast"


def load(root: Path) -> Project:
    """The project in this folder. Raises ProjectInvalid with every mistake of every file."""
    root = Path(root)
    missing = _missing(root)
    main = read(root, MAIN) if not missing or missing[0].file != MAIN else None
    if main is None:
        raise ProjectInvalid(missing)
    known = meaning.known(root, main)
    structure.check(main, schema.PROJECT)
    meaning.check_project(main, known)
    documents = [read(root, file) for file in _sync_files(root)]
    for document in documents:
        structure.check(document, schema.SYNC)
        meaning.check_sync(document, known)
    _check_names(documents)
    _check_function_names(root, documents)
    problems = missing + [problem for document in [main, *documents] for problem in _in_order(document)]
    if problems:
        raise ProjectInvalid(problems)
    return _project(root, main, documents)


def sync_names(root: Path) -> list[str]:
    """The syncs of this folder, sorted, as their files are called: what is in them is not read. Raises ProjectInvalid
    where there is no project."""
    if missing := _missing(Path(root)):
        raise ProjectInvalid(missing)
    return sorted({Path(file).stem for file in _sync_files(Path(root))})


def stack_name(root: Path) -> str:
    """What this folder calls its deployment; nothing else in it is judged. Raises ProjectInvalid where that cannot be
    read."""
    problems = [problem for problem in _missing(Path(root)) if problem.file == MAIN]
    main = Document(MAIN, problems=problems) if problems else read(Path(root), MAIN)
    if main.value is None:
        raise ProjectInvalid(main.problems)
    return main.get(str, "name") or DEFAULT_NAME


def problems_json(problems: list[Problem]) -> list[dict[str, Any]]:
    """The problems with the same fields, ready for JSON."""
    names = ("file", "line", "path", "message", "expected", "suggestion")
    return [{name: getattr(problem, name) for name in names} for problem in problems]


def _missing(root: Path) -> list[Problem]:
    """What the folder needs before its files can be judged."""
    if not root.is_dir():
        return [Problem(MAIN, None, "", f"there is no folder {root}", "a folder with rowcast.yaml and syncs/")]
    if not (root / MAIN).is_file():
        message = f"there is no rowcast.yaml in {root.resolve()}"
        return [Problem(MAIN, None, "", message, "a project's folder; `rowcast init` makes one", _meant(root))]
    if not _sync_files(root):
        what = "holds no sync" if (root / SYNCS).is_dir() else "does not exist"
        return [Problem(SYNCS, None, "", f"the folder syncs {what}", "a file syncs/<name>.yaml for each sync")]
    return []


def _meant(root: Path) -> str | None:
    """The file that is called otherwise, or the folder of the project in which this one lies."""
    if other := next((name for name in ("rowcast.yml", "Rowcast.yaml") if (root / name).is_file()), None):
        return f"rename {other}"
    return next((str(parent) for parent in root.resolve().parents if (parent / MAIN).is_file()), None)


def _sync_files(root: Path) -> list[str]:
    folder = root / SYNCS
    if not folder.is_dir():
        return []
    files = [
        path.name for path in folder.iterdir() if path.suffix in (".yaml", ".yml") and not path.name.startswith(".")
    ]
    return [f"{SYNCS}/{name}" for name in sorted(files)]


def _check_names(documents: list[Document]) -> None:
    first: dict[str, str] = {}
    for document in documents:
        name = Path(document.file).stem
        if name in first:
            message = f"there is a sync {name} already, in {first[name]}"
            document.report((), message, expected="one file for each sync", line=1)
        first.setdefault(name, document.file)


def _check_function_names(root: Path, documents: list[Document]) -> None:
    """Two files may not give functions of one name."""
    first: dict[str, LocalFunction] = {}
    for document in documents:
        function = to.local_function(root, document)
        if function and first.setdefault(function.name, function) != function:
            other = first[function.name].file
            message = f"its name would be {function.name}, as that of {other.relative_to(root.resolve())}"
            document.report(("destination", "function"), message, expected="another file name or handler name")


def _in_order(document: Document) -> list[Problem]:
    return sorted(document.problems, key=lambda problem: problem.line or 0)


def _project(root: Path, main: Document, documents: list[Document]) -> Project:
    value = main.value
    sources = {name: to.source(root, name, item) for name, item in value["sources"].items()}
    folders = {name: to.folder(root, item) for name, item in value["sources"].items()}
    alerts = {name: channel(name, item) for name, item in (value.get("alerts") or {}).items()}
    syncs = {sync.name: sync for sync in (to.sync(root, each, sources, value) for each in documents)}
    functions = {function for each in documents if (function := to.local_function(root, each))}
    secrets = _secrets(sources, syncs) + [item for alert in alerts.values() for item in alert.fields.values()]
    return Project(
        root=root.resolve(),
        name=value.get("name", DEFAULT_NAME),
        sources=sources,
        syncs=syncs,
        alerts=alerts,
        alarms=tuple(value.get("alarms", alerts)),
        functions=tuple(sorted(functions, key=lambda function: function.name)),
        folders={name: folder for name, folder in folders.items() if folder},
        networks={name: net for name, item in value["sources"].items() if (net := to.network(item))},
        secrets=tuple(dict.fromkeys(item for item in secrets if isinstance(item, SecretRef))),
    )


def _secrets(sources: dict[str, Source], syncs: dict[str, Sync]) -> list[SecretRef | str]:
    found: list[SecretRef | str] = [
        source.password for source in sources.values() if isinstance(source, PostgresSource) and source.password
    ]
    for sync in syncs.values():
        account = sync.definition.destination.account
        if account and account.access_key_secret:
            found.append(account.access_key_secret)
    return found
