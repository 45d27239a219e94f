"""What can go wrong, named by what happens next.

RowcastError                 message is safe to log: it never holds a row's value
├── RunFailed                this run ends; the next start begins or resumes, nothing to repair
│   ├── SourceFailed         the query, its connection or its result; nothing was sent
│   ├── SnapshotDamaged      a stored snapshot does not match its manifest
│   ├── DefinitionInvalid    the deployed sync cannot be read
│   └── DestinationRefused   the target is missing or access to it is denied; sending stops
├── Throttled                AWS kept asking for a slower pace or did not answer; the state machine tries the step again
├── LockLost                 another run holds the sync's lock: stop at once and write nothing
└── MessageInvalid           no message can be made of this one row; the row is rejected
"""

from __future__ import annotations


class RowcastError(Exception):
    """Base of all errors that Rowcast raises on purpose; `str(error)` tells what happened and what to do."""


class RunFailed(RowcastError):
    """The run cannot go on. What it owes stays owed, and the next start takes it up."""


class SourceFailed(RunFailed):
    """The source did not give a usable result. Raised before anything is sent."""


class SnapshotDamaged(RunFailed):
    """A snapshot file is missing or differs from the checksum in its manifest."""


class DefinitionInvalid(RunFailed):
    """The sync's deployed definition is missing or of a version this code does not know."""


class DestinationRefused(RunFailed):
    """The destination as a whole is unusable: missing, denied, or its role cannot be assumed."""


class Throttled(RowcastError):
    """AWS kept refusing calls that came too fast, or could not be reached. What was stored stays, and doing it again is
    harmless."""


class LockLost(RowcastError):
    """The fencing token is no longer the sync's current one."""


class MessageInvalid(RowcastError):
    """A row whose message cannot be made: the template failed on it or gave no JSON."""
