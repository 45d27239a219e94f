"""Rowcast as one construct, for any CDK app."""

from __future__ import annotations

from aws_cdk import Annotations, Duration, Stack, Token
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.constructs.alarms import Alarms
from infra.constructs.channels import Channels
from infra.constructs.dashboard import Dashboards
from infra.constructs.functions import Functions
from infra.constructs.grants import Grant, give
from infra.constructs.layers import Layers, Platform
from infra.constructs.queries import Queries
from infra.constructs.schedules import Schedules
from infra.constructs.storage import Storage
from infra.constructs.sync import SyncResources
from infra.constructs.watch import Watch
from infra.constructs.workflow import Workflow
from infra.quotas import Quotas, warnings
from project.model import Project


class Rowcast(Construct):
    """Deploys the syncs of a project.

    `name` tells deployments of one account apart, in parameters and IAM paths; by default it is the stack's name.
    `event_bus`: of this account and region, where runs are announced. `calls_kept`: how long call records stay,
    and messages that were sent as pointers because no call could carry them. `debts_may_wait`: before an alarm tells, a
    day by default. `permissions_boundary`: the ARN of a managed policy that bounds every role. `encryption_key`: the
    ARN of a key of this account and region that encrypts the bucket and the tables, and whose policy lets this
    account's IAM policies decide. `quotas`: those of the region, by which the syncs' limits are judged; by default
    AWS's defaults.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        project: Project,
        name: str | None = None,
        platform: Platform = "lambda",
        event_bus: str = "default",
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
        calls_kept: Duration | None = None,
        debts_may_wait: Duration | None = None,
        permissions_boundary: str | None = None,
        encryption_key: str | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        for warning in warnings(project, quotas or Quotas.read(_region(self))):
            Annotations.of(self).add_warning_v2(*warning)
        if permissions_boundary:
            boundary = iam.ManagedPolicy.from_managed_policy_arn(self, "Boundary", permissions_boundary)
            iam.PermissionsBoundary.of(self).apply(boundary)
        self.name = name or Stack.of(self).stack_name
        self.storage = Storage(
            self,
            "Storage",
            calls_kept=calls_kept or Duration.days(30),
            key=kms.Key.from_key_arn(self, "EncryptionKey", encryption_key) if encryption_key else None,
        )
        self.functions = Functions(
            self,
            "Functions",
            name=self.name,
            storage=self.storage,
            layers=Layers(self, "Layers", platform=platform),
            event_bus=event_bus,
            log_retention=log_retention,
            networks=project.networks,
        )
        self.workflow = Workflow(
            self,
            "Workflow",
            name=self.name,
            storage=self.storage,
            functions=self.functions,
            event_bus=event_bus,
            log_retention=log_retention,
        )
        self.alarms = Alarms(self, "Alarms", name=self.name)
        self.alarms.on_failed_runs(self.workflow.state_machine)
        self.alarms.on_undelivered_schedules(self.storage.undelivered_schedules)
        self.alarms.on_undelivered_alerts(self.storage.undelivered_alerts)
        self.alarms.on_quarantine(self.storage.quarantine)
        self.channels = Channels(
            self,
            "Channels",
            name=self.name,
            bus=event_bus,
            channels=project.alerts,
            alarmed=project.alarms,
            alarms=self.alarms.prefix,
            key=self.alarms.key,
            undelivered=self.storage.undelivered_alerts,
        )
        self.syncs = self._syncs(project, debts_may_wait or Duration.days(1))

    def _syncs(self, project: Project, debts_may_wait: Duration) -> dict[str, SyncResources]:
        schedules = Schedules(
            self,
            "Schedules",
            state_machine=self.workflow.state_machine,
            undelivered=self.storage.undelivered_schedules,
        )
        syncs = {}
        for sync in project.syncs.values():
            deployed = SyncResources(
                self,
                f"Sync-{sync.name}",
                sync=sync,
                name=self.name,
                storage=self.storage,
                functions=self.functions,
                schedules=schedules,
                alarms=self.alarms,
                debts_may_wait=debts_may_wait,
            )
            for right in self.workflow.rights:  # its schedule may start a run at once
                deployed.node.add_dependency(right)
            syncs[sync.name] = deployed
        if syncs:
            self._let_read_definitions(next(iter(syncs.values())).definition)
        self.alarms.on_late_syncs()
        self.alarms.on_long_owed(age=debts_may_wait)
        undelivered = self.storage.undelivered_schedules
        Watch(self, "Watch", function=self.functions.watch, syncs=list(syncs), undelivered=undelivered)
        for role in (self.workflow.role, *(handler.role for handler in self.functions.all)):
            give(role, self.storage.opening())
        self._observe(list(syncs))
        for snapshot in self.functions.snapshots:
            self.workflow.let_invoke(snapshot)
        return syncs

    def _let_read_definitions(self, one: s3_assets.Asset) -> None:
        """One right for all of them, which lie in one bucket."""
        assets = one.bucket.arn_for_objects("*.json")
        grant = Grant(("s3:GetObject",), (assets,), why="A definition's key changes with its content.")
        for reader in (self.functions.open, self.functions.watch):
            give(reader.role, [grant])

    def _observe(self, syncs: list[str]) -> None:
        self.alarms.on_functions(self.functions.all, [self.functions.fail, self.functions.watch])
        self.alarms.on_throttled_destinations(syncs)
        Dashboards(
            self,
            "Dashboards",
            name=self.name,
            syncs=syncs,
            state_machine=self.workflow.state_machine,
            functions=self.functions,
            alarms=self.alarms,
        )
        Queries(self, "Queries", name=self.name, groups=[one.log_group for one in self.functions.all])


def _region(scope: Construct) -> str | None:
    region = Stack.of(scope).region
    return None if Token.is_unresolved(region) else region
