"""invoke: event {sync, run, token, chunk} → {done}; fans a chunk out to a Lambda function.

The same work as publish, under a role and a timeout of its own.
"""

from handlers.publish import handler

__all__ = ["handler"]
