"""Where the syncs of a project are deployed, and the readers of what their runs left there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rowcast.errors import RowcastError, RunFailed
from rowcast.wiring import Services
from workbench.aws import Aws
from workbench.options import UsageFault

_OUTPUTS = {
    "ROWCAST_BUCKET": "Bucket",
    "ROWCAST_STATE_TABLE": "StateTable",
    "ROWCAST_CHANGES_TABLE": "ChangesTable",
    "ROWCAST_DEBTS_TABLE": "DebtsTable",
    "ROWCAST_PARAMETER_PREFIX": "ParameterPrefix",
    "ROWCAST_EVENT_BUS": "EventBus",
}
"""What a function finds in its environment, by the name of the stack's output that says the same."""


class Place(Services):
    """A deployed stack as people see it: the functions' own adapters, on the clients of who asks."""

    def __init__(self, aws: Aws, outputs: dict[str, str]) -> None:
        super().__init__(_Environment({name: outputs[one] for name, one in _OUTPUTS.items() if one in outputs}))
        self.aws = aws
        self._outputs = outputs

    def client(self, service: str) -> Any:
        return self.aws.client(service)

    def output(self, name: str) -> str:
        if name not in self._outputs:
            raise _no_output(name)
        return self._outputs[name]

    def was_renamed(self, sync: str) -> bool:
        """Whether `rename` took it along to another name."""
        try:
            self.states.head(sync)
        except RunFailed:
            return True
        return False

    def has_records(self, sync: str) -> bool:
        """Whether it ever ran here; the folder may have it no more."""
        return self.was_renamed(sync) or self.states.head(sync).token > 0


class _Environment(dict[str, str]):
    def __missing__(self, name: str) -> str:
        raise _no_output(_OUTPUTS.get(name, name))


def _no_output(name: str) -> RowcastError:
    return RowcastError(f"The deployed stack has no output {name}: deploy again with this release.")


def find(project: Path, *, local: bool, profile: str | None, stack: str | None = None) -> Place:
    """Where the options say that the project is deployed. Raises RowcastError when it isn't."""
    import project as configuration
    from workbench.local import deploy, server

    if not means_embedded(project, local=local, profile=profile, stack=stack):
        return find_stack(Aws(profile=profile), stack or configuration.stack_name(project))
    state, deployed = server.running(project), deploy.read(project)
    if state is None or deployed is None:
        raise RowcastError("The embedded AWS is not running here. Start it with: rowcast local up")
    return Place(Aws(local=state), deployed.outputs)


def means_embedded(project: Path, *, local: bool, profile: str | None, stack: str | None) -> bool:
    """The embedded AWS when asked for, or when the folder has one and nothing names a real account."""
    from workbench.local import server

    named = [option for option, value in (("--profile", profile), ("--stack", stack)) if value is not None]
    if local and named:
        raise UsageFault(f"--local means the embedded AWS and {named[0]} a real account: give one of them.")
    return local or (not named and server.Home(project).read() is not None)


def find_stack(aws: Aws, stack: str) -> Place:
    """Reads the stack's outputs. Raises RowcastError when there is none, or no account to look in."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = aws.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    except ClientError as error:
        if "does not exist" in str(error):
            raise RowcastError(f"No stack {stack} is deployed in this account and region: make deploy") from error
        raise RowcastError(f"The account cannot be read: {error}") from error
    except BotoCoreError as error:
        reason = f"No AWS account can be reached ({error})."
        raise RowcastError(f"{reason} For the embedded AWS: rowcast local up") from error
    return Place(aws, {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])})
