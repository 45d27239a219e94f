"""Where a deployment keeps its snapshots, state, changes and debts, and the queues for what needs a person."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.constructs.grants import Grant, acknowledge

QUEUE_RETENTION = Duration.days(14)
CHANGES_KEPT = Duration.days(30)
"""How long the items of the changes table live; what did not fit into them outlives them a little."""


class Storage(Construct):
    """What holds data outlives the stack: the bucket and the tables are retained, tables also against mistakes.

    `key` encrypts the bucket and the tables, in place of AWS's keys. Queues hold names and hashes of keys, never a row,
    and stay under SQS's own key, which lets AWS's services in without a word in the key's policy.
    """

    def __init__(self, scope: Construct, construct_id: str, *, calls_kept: Duration, key: kms.IKey | None) -> None:
        super().__init__(scope, construct_id)
        self.key = key
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
            encryption_key=key,
            bucket_key_enabled=True if key else None,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            removal_policy=RemovalPolicy.RETAIN,
            lifecycle_rules=_lifecycle(calls_kept),
        )
        self.bucket.add_to_resource_policy(
            refusing_others(self, "s3:*", self.bucket.bucket_arn, self.bucket.arn_for_objects("*"))
        )
        self.state = self._table("State", time_to_live="expires_at")
        self.changes = self._table("Changes", time_to_live="expires_at")
        self.debts = self._table("Debts")
        self.quarantine = self.queue(self, "Quarantine")
        self.undelivered_schedules = self.queue(self, "UndeliveredSchedules")
        self.undelivered_alerts = self.queue(self, "UndeliveredAlerts")
        acknowledge(self.bucket, "AwsSolutions-S1", "CloudTrail's data events log access where an account wants it.")
        acknowledge(self.quarantine, "AwsSolutions-SQS3", "This is the retry queues' dead-letter queue.")
        acknowledge(self.undelivered_schedules, "AwsSolutions-SQS3", "This is the schedules' dead-letter queue.")
        acknowledge(self.undelivered_alerts, "AwsSolutions-SQS3", "This is the alerts' dead-letter queue.")
        for queue in (self.quarantine, self.undelivered_schedules, self.undelivered_alerts):
            acknowledge(queue, "Serverless-SQSRedrivePolicy", "This is where messages end that nothing else takes.")

    def _table(self, construct_id: str, *, time_to_live: str | None = None) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            construct_id,
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if self.key else dynamodb.TableEncryption.AWS_MANAGED,
            encryption_key=self.key,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            time_to_live_attribute=time_to_live,
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
        )

    def opening(self) -> list[Grant]:
        """What each who works on the bucket or the tables may do with their key: through those services alone."""
        if self.key is None:
            return []
        region, suffix = Stack.of(self).region, Stack.of(self).url_suffix
        services = [f"{service}.{region}.{suffix}" for service in ("s3", "dynamodb")]
        actions = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey")
        return [Grant(actions, (self.key.key_arn,), {"StringEquals": {"kms:ViaService": services}})]

    @staticmethod
    def queue(
        scope: Construct,
        construct_id: str,
        *,
        visibility_timeout: Duration | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        """Encrypted, TLS only, and keeping messages for as long as SQS does."""
        queue = sqs.Queue(
            scope,
            construct_id,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            retention_period=QUEUE_RETENTION,
            visibility_timeout=visibility_timeout,
            dead_letter_queue=dead_letter_queue,
        )
        queue.add_to_resource_policy(refusing_others(scope, "sqs:*", queue.queue_arn))
        return queue


def refusing_others(scope: Construct, actions: str, *arns: str) -> iam.PolicyStatement:
    """Whoever acts for another account is refused, also if a policy is loosened by mistake one day. AWS's services act
    for no account; what lets them in names this one."""
    return iam.PolicyStatement(
        effect=iam.Effect.DENY,
        principals=[iam.AnyPrincipal()],
        actions=[actions],
        resources=list(arns),
        conditions={
            "StringNotEquals": {"aws:PrincipalAccount": Stack.of(scope).account},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        },
    )


def _lifecycle(calls_kept: Duration) -> list[s3.LifecycleRule]:
    """Snapshots, debts and pinned definitions go when no run needs them any more, not by age."""
    return [
        s3.LifecycleRule(id="Calls", prefix="calls/", expiration=calls_kept),
        s3.LifecycleRule(id="Oversize", prefix="oversize/", expiration=calls_kept),
        s3.LifecycleRule(id="Overflow", prefix="overflow/", expiration=CHANGES_KEPT.plus(Duration.days(10))),
        s3.LifecycleRule(id="Worklists", prefix="worklists/", expiration=Duration.days(400)),
        s3.LifecycleRule(id="Plans", prefix="plans/", expiration=Duration.days(1)),
        s3.LifecycleRule(id="Requests", prefix="requests/", expiration=Duration.days(400)),
        s3.LifecycleRule(id="Maps", prefix="maps/", expiration=Duration.days(7)),
        s3.LifecycleRule(
            id="Remains",
            abort_incomplete_multipart_upload_after=Duration.days(1),
            noncurrent_version_expiration=Duration.days(7),
            expired_object_delete_marker=True,
        ),
    ]
