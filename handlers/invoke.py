"""invoke: event {sync, run, token, chunks} → {done}; fans a share of chunks out to a Lambda function.

The same work as publish, under a role and a timeout of its own.
"""

from handlers.publish import handler

__all__ = ["handler"]
