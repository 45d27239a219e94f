"""The functions: one per state, and one snapshot function per source; each with its own role and log group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.constructs.endpoints import NetworkEndpoints
from infra.constructs.grants import TRACES, Grant, acknowledge, give
from infra.constructs.layers import ARCHITECTURE, RUNTIME, Layers, handlers_code
from infra.constructs.permissions import Permissions
from infra.constructs.storage import Storage
from project.model import Network
from rowcast.definition import Destination as DestinationDefinition
from rowcast.definition import EventBridgeDestination, PostgresSource, Source


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """`disk` holds what a function works on: the engine spills to it, and snapshots pass through it. `pauses`: the step
    uses the time it has, stops short of its limit, and is called again."""

    seconds: int
    memory: int
    disk: int = 512
    pauses: bool = False


NETWORK_INTERFACES = (
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
)
# Workers of fan out need 250 MB at most (decision 20): their memory is for the processor that comes with it.
CAPACITIES = {
    "open": Capacity(seconds=120, memory=512),
    "snapshot": Capacity(seconds=900, memory=3008, disk=10240),
    "diff": Capacity(seconds=300, memory=1769, disk=4096),
    "seal": Capacity(seconds=300, memory=512),
    "publish": Capacity(seconds=300, memory=1024, pauses=True),
    "invoke": Capacity(seconds=900, memory=1024, pauses=True),
    "commit": Capacity(seconds=900, memory=1769, pauses=True),
    "fail": Capacity(seconds=300, memory=1024),
    "watch": Capacity(seconds=300, memory=256),
}


class Handler(Construct):
    """One function that runs `handlers/<module>.py`, allowed its log, its traces and `grants`."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        module: str,
        description: str,
        layers: Sequence[lambda_.ILayerVersion],
        environment: dict[str, str],
        grants: Sequence[Grant],
        log_retention: logs.RetentionDays,
        network: Network | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = log_group = logs.LogGroup(
            self, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        give(self.role, [Grant(("logs:CreateLogStream", "logs:PutLogEvents"), (log_group.log_group_arn,)), *grants])
        acknowledge(self.role, "AwsSolutions-IAM5[Resource::*]", TRACES)
        self.capacity = capacity = CAPACITIES[module]
        self.function = lambda_.Function(
            self,
            "Function",
            description=description,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=handlers_code(),
            handler=f"handlers.{module}.handler",
            layers=list(layers),
            role=self.role,
            timeout=Duration.seconds(capacity.seconds),
            memory_size=capacity.memory,
            ephemeral_storage_size=Size.mebibytes(capacity.disk),
            environment=environment,
            tracing=lambda_.Tracing.ACTIVE,
            log_group=log_group,
        )
        if network is not None:
            self._move_into(network)
        for rule in ("AwsSolutions-L1", "Serverless-LambdaLatestVersion"):
            acknowledge(self.function, rule, "3.13 is the runtime that the locked wheels are made for.")
        called = "Step Functions waits for each call and catches its failure; the watch looks again in 15 minutes."
        acknowledge(self.function, "Serverless-LambdaDLQ", called)

    def _move_into(self, network: Network) -> None:
        """Lambda makes and deletes the network interfaces in the function's role."""
        give(self.role, [Grant(NETWORK_INTERFACES, ("*",), why="An interface has no name before it is made.")])
        resource = self.function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=list(network.subnets), security_group_ids=list(network.security_groups)
        )


class Functions(Construct):
    """The functions that all syncs of a deployment share, and a snapshot function for each source that one uses."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        name: str,
        storage: Storage,
        layers: Layers,
        event_bus: str,
        log_retention: logs.RetentionDays,
        networks: Mapping[str, Network] | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._networks = networks or {}
        self._layers = layers
        self._log_retention = log_retention
        self._environment = _environment(name, storage, event_bus)
        self._permissions = Permissions(self, name=name, storage=storage, event_bus=event_bus)
        allowed = self._permissions
        self.open = self._handler("Open", "open", "Takes the sync's lock and says where to go on", allowed.open())
        self.diff = self._handler(
            "Diff", "diff", "Compares one partition with its baseline", allowed.diff(), layers.engine
        )
        self.seal = self._handler("Seal", "seal", "Closes the change set and lists its chunks", allowed.seal())
        self.publish = self._handler(
            "Publish", "publish", "Sends chunks to EventBridge", allowed.deliver("eventbridge")
        )
        self.invoke = self._handler("Invoke", "invoke", "Sends chunks to a function", allowed.deliver("lambda"))
        self.commit = self._handler("Commit", "commit", "Moves the baseline forward, once", allowed.commit())
        self.fail = self._handler("Fail", "fail", "Records a run that could not go on", allowed.fail())
        self.watch = self._handler("Watch", "watch", "Tells of syncs that are late", allowed.watch())
        self._snapshots: dict[str, Handler] = {}

    def snapshot(self, source: Source) -> Handler:
        """The source's own function: it alone may read the source, and it alone carries the driver."""
        if source.name not in self._snapshots:
            drivers = [self._layers.postgres] if isinstance(source, PostgresSource) else []
            network = self._networks.get(source.name)
            if network is not None and network.endpoints is not None:
                password = source.password if isinstance(source, PostgresSource) else None
                store = password.store if password else None
                NetworkEndpoints(
                    self, f"Endpoints-{source.name}", network=network, wanted=network.endpoints, store=store
                )
            self._snapshots[source.name] = self._handler(
                f"Snapshot-{source.name}",
                "snapshot",
                f"Runs queries on the source {source.name}",
                self._permissions.snapshot(source),
                self._layers.engine,
                *drivers,
                network=network,
            )
        return self._snapshots[source.name]

    def fan_out(self, destination: DestinationDefinition) -> Handler:
        return self.publish if isinstance(destination, EventBridgeDestination) else self.invoke

    @property
    def all(self) -> list[Handler]:
        shared = [self.open, self.diff, self.seal, self.publish, self.invoke, self.commit, self.fail, self.watch]
        return [*shared, *self.snapshots]

    @property
    def snapshots(self) -> list[Handler]:
        """By source, so that a change of the syncs' order changes nothing that lists functions."""
        return [handler for _, handler in sorted(self._snapshots.items())]

    def _handler(
        self,
        construct_id: str,
        module: str,
        description: str,
        grants: Sequence[Grant],
        *more_layers: lambda_.ILayerVersion,
        network: Network | None = None,
    ) -> Handler:
        return Handler(
            self,
            construct_id,
            module=module,
            description=f"Rowcast: {description[0].lower()}{description[1:]}",
            layers=[self._layers.code, self._layers.dependencies, *more_layers],
            environment=self._environment,
            grants=grants,
            log_retention=self._log_retention,
            network=network,
        )


def _environment(name: str, storage: Storage, event_bus: str) -> dict[str, str]:
    return {
        "POWERTOOLS_SERVICE_NAME": "rowcast",
        "ROWCAST_BUCKET": storage.bucket.bucket_name,
        "ROWCAST_STATE_TABLE": storage.state.table_name,
        "ROWCAST_CHANGES_TABLE": storage.changes.table_name,
        "ROWCAST_DEBTS_TABLE": storage.debts.table_name,
        "ROWCAST_QUARANTINE_URL": storage.quarantine.queue_url,
        "ROWCAST_PARAMETER_PREFIX": f"/{name}/syncs/",
        "ROWCAST_EVENT_BUS": event_bus,
    }
