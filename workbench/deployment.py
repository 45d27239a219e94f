"""Where the syncs of a project are deployed, and the readers of what their runs left there."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rowcast.errors import RowcastError
from workbench.aws import Aws
from workbench.options import UsageFault

if TYPE_CHECKING:
    from rowcast.alert import Alerting
    from rowcast.stores.calls import S3Calls
    from rowcast.stores.changes import DynamoChanges
    from rowcast.stores.debts import DynamoDebts
    from rowcast.stores.definitions import AwsDefinitions
    from rowcast.stores.objects import Objects
    from rowcast.stores.snapshots import S3Snapshots
    from rowcast.stores.state import DynamoState


class Place:
    """A deployed stack: its clients, and its parts by the names of the stack's outputs."""

    def __init__(self, aws: Aws, outputs: dict[str, str]) -> None:
        self.aws = aws
        self._outputs = outputs

    def output(self, name: str) -> str:
        if name not in self._outputs:
            raise RowcastError(f"The deployed stack has no output {name}: deploy again with this release.")
        return self._outputs[name]

    @cached_property
    def states(self) -> DynamoState:
        from rowcast.stores.state import DynamoState

        return DynamoState(client=self.aws.client("dynamodb"), table=self.output("StateTable"))

    @cached_property
    def changes(self) -> DynamoChanges:
        from rowcast.stores.changes import DynamoChanges

        return DynamoChanges(
            client=self.aws.client("dynamodb"), table=self.output("ChangesTable"), bodies=self._bodies()
        )

    @cached_property
    def debts(self) -> DynamoDebts:
        from rowcast.stores.debts import DynamoDebts

        return DynamoDebts(
            client=self.aws.client("dynamodb"),
            table=self.output("DebtsTable"),
            state_table=self.output("StateTable"),
            bodies=self._bodies(),
        )

    @cached_property
    def objects(self) -> Objects:
        from rowcast.stores.objects import Objects

        return Objects(client=self.aws.client("s3"), bucket=self.output("Bucket"))

    @cached_property
    def calls(self) -> S3Calls:
        from rowcast.stores.calls import S3Calls

        return S3Calls(objects=self.objects)

    @cached_property
    def snapshots(self) -> S3Snapshots:
        from rowcast.stores.snapshots import S3Snapshots

        return S3Snapshots(objects=self.objects)

    @cached_property
    def definitions(self) -> AwsDefinitions:
        from rowcast.stores.definitions import AwsDefinitions

        return AwsDefinitions(ssm=self.aws.client("ssm"), objects=self.objects, prefix=self.output("ParameterPrefix"))

    @cached_property
    def alerting(self) -> Alerting:
        from rowcast.alert import Alerting
        from rowcast.stores.alerts import DynamoAlerts, EventBridgeAnnouncer
        from rowcast.stores.clock import SystemClock

        events, bus = self.aws.client("events"), self.output("EventBus")
        return Alerting(
            alerts=DynamoAlerts(client=self.aws.client("dynamodb"), table=self.output("StateTable")),
            announcer=EventBridgeAnnouncer(client=events, bus=bus, deployment=self.deployment),
            clock=SystemClock(),
            deployment=self.deployment,
        )

    @property
    def deployment(self) -> str:
        """The deployment's name, which its parameters' prefix holds."""
        return self.output("ParameterPrefix").split("/")[1]

    def _bodies(self) -> Any:
        from rowcast.stores.bodies import Bodies

        return Bodies(objects=self.objects)


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
