"""The user's folder as configuration: `load(folder)` gives a Project, or ProjectInvalid with all its mistakes."""

from project.folder import load, problems_json, stack_name, sync_names
from project.model import AlertChannel, LocalFunction, Problem, Project, ProjectInvalid, Schedule, Sync

__all__ = [
    "AlertChannel",
    "LocalFunction",
    "Problem",
    "Project",
    "ProjectInvalid",
    "Schedule",
    "Sync",
    "load",
    "problems_json",
    "stack_name",
    "sync_names",
]
