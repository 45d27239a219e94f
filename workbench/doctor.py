"""Checks of one sync before its first run, sending nothing: what each found, with whose rights, and what to do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from rowcast.definition import Definition, EventBridgeDestination, FilesSource, LambdaDestination, SecretRef
from rowcast.errors import RowcastError
from rowcast.keys import check_names
from rowcast.models import Deployment
from workbench import named, policies, rights
from workbench.deployment import Place
from workbench.one_row import Refused, invoke

Status = Literal["ok", "warn", "fail", "unknown"]
YOURS, DELIVERY = "yours", "the delivery role's"
_ENGINE_MB = 1000
_PUT_EVENTS = "PutEvents throttle limit in transactions per second"


class Check(msgspec.Struct, kw_only=True):
    """`rights`: whose were used. `policies`: documents to paste, by what they are for. `commands`: to run."""

    sync: str
    check: str
    status: Status
    found: str
    rights: str = YOURS
    todo: str = ""
    policies: dict[str, Any] = {}
    commands: list[str] = []


class Patient:
    """One sync and where it is deployed. Checks that need what an earlier one missed are left out."""

    def __init__(self, place: Place, definition: Definition) -> None:
        self.place = place
        self.definition = definition
        self.deployment: Deployment | None = None

    def examine(self) -> Iterator[Check]:
        """Each part is called as the check that it makes, so that one that AWS breaks off has that name too."""
        for part in (
            self._deployed,
            self._template,
            self._secret,
            self._source,
            self._target,
            self._permitted,
            self._function,
            self._quota,
        ):
            try:
                yield from part()
            except (ClientError, BotoCoreError) as error:
                yield self._say(part.__name__.strip("_"), "unknown", f"AWS did not say ({rights.code(error)}).")

    def _say(self, check: str, status: Status, found: str, **more: Any) -> Check:
        return Check(sync=self.definition.sync, check=check, status=status, found=found, **more)

    # --- what is deployed ---

    def _deployed(self) -> Iterator[Check]:
        try:
            self.deployment = self.place.definitions.deployment(self.definition.sync)
            there = self.place.definitions.deployed_definition(self.deployment)
        except RowcastError as error:
            yield self._say("deployed", "fail", str(error), todo=self._deploying())
            return
        if there == self.definition:
            yield self._say("deployed", "ok", "The deployed sync is that of this folder.")
        else:
            yield self._say("deployed", "warn", "The folder differs from what is deployed.", todo=self._deploying())

    def _deploying(self) -> str:
        if self.place.aws.local is None:
            return "Deploy the project: make deploy"
        return f"Deploy it: rowcast local up, or the next rowcast run {self.definition.sync}"

    def _template(self) -> Iterator[Check]:
        from rowcast.message import interpreted

        count, reasons = interpreted(self.definition)
        if reasons:
            found = f"{len(reasons)} of {count} templates cannot be compiled and are interpreted: {'; '.join(reasons)}."
            yield self._say("template", "warn", found, todo="Works, but a worker renders far fewer rows a second.")
        elif count:
            yield self._say("template", "ok", f"{count} compiled.")

    # --- source ---

    def _secret(self) -> Iterator[Check]:
        for ref, read in self._secret_readers():
            try:
                read(ref)
                yield self._say("secret", "ok", f"{ref.name} can be read.")
            except RowcastError as error:
                command = [policies.secret_command(ref)]
                yield self._say("secret", "fail", str(error), todo="Put the secret there.", commands=command)

    def _secret_readers(self) -> Iterator[tuple[SecretRef, Callable[[SecretRef], Any]]]:
        source, account = self.definition.source, self.definition.destination.account
        if not isinstance(source, FilesSource) and source.password is not None:
            yield source.password, self._store().resolve
        if account is not None and account.access_key_secret is not None:
            yield account.access_key_secret, self._store().fields

    def _store(self) -> Any:
        from rowcast.stores.secrets import AwsSecrets

        aws = self.place.aws
        return AwsSecrets(secretsmanager=aws.client("secretsmanager"), ssm=aws.client("ssm"))

    def _source(self) -> Iterator[Check]:
        """The query in the read-only session of a run: once for its columns, once to count its keys."""
        names = self.definition.primary_key
        query = self.definition.query
        try:
            columns = self._ask(f"SELECT * FROM (\n{query}\n) AS asked LIMIT 0")[0]
        except RowcastError as error:
            far = self.place.aws.local is None and not isinstance(self.definition.source, FilesSource)
            todo = "If only the functions can reach it, a run will tell." if far else "Mend the query or its source."
            yield self._say("source", "warn" if far else "fail", str(error), todo=todo)
            return
        yield self._say("source", "ok", f"The query runs read-only and gives {len(columns)} columns.")
        yield from self._columns(columns)
        if missing := [name for name in names if name not in columns]:
            yield self._say("key", "fail", f"The query gives no column {', '.join(missing)}.", todo=_KEY)
            return
        yield self._key(query, [f'"{name.replace(chr(34), chr(34) * 2)}"' for name in names])

    def _columns(self, there: list[str]) -> Iterator[Check]:
        """What the sync names beside its key, against what the query gives."""
        if set(self.definition.primary_key) <= set(there):
            try:
                check_names(self.definition, there)
            except RowcastError as error:
                yield self._say("columns", "fail", str(error), todo="A run would stop before anything is sent.")
        if rejecting := named.rejecting(self.definition, there):
            found = f"The query gives no column {', '.join(rejecting)}, which the message is made of."
            yield self._say("columns", "fail", found, todo="Every row would be rejected.")
        if empty := named.empty(self.definition, there):
            found = f"Templates name what the query does not give: {', '.join(empty)}."
            yield self._say("columns", "warn", found, todo="It renders as nothing, or as null.")

    def _key(self, query: str, quoted: list[str]) -> Check:
        key = quoted[0] if len(quoted) == 1 else f"({', '.join(quoted)})"
        empty = " OR ".join(f"{name} IS NULL" for name in quoted)
        counts = f"count(*) AS n, count(DISTINCT {key}) AS keys, count(CASE WHEN {empty} THEN 1 END) AS nulls"
        filled = f"SELECT {counts} FROM (\n{query}\n) AS asked"
        try:
            rows, keys, nulls = self._ask(filled)[1]
        except RowcastError as error:
            return self._say("key", "unknown", f"The keys could not be counted: {error}")
        if nulls:
            return self._say("key", "fail", f"{nulls} of {rows} rows have a null in the key.", todo=_KEY)
        if keys < rows:
            return self._say("key", "fail", f"{rows} rows have only {keys} different keys.", todo=_KEY)
        return self._say("key", "ok", f"{rows} rows, each with a key of its own.")

    def _ask(self, query: str) -> tuple[list[str], tuple[int, ...]]:
        """The result's columns and its first row, as numbers."""
        from rowcast.engine import engine, run

        with (
            tempfile.TemporaryDirectory(prefix="rowcast-") as folder,
            engine(Path(folder), _ENGINE_MB) as connection,
            self._reader(Path(folder)).query(query, connection) as result,
        ):
            rows = run(connection, f"SELECT * FROM {result.relation}")
            return [column.name for column in result.columns], tuple(map(int, rows[0])) if rows else ()

    def _reader(self, scratch: Path) -> Any:
        source = self.definition.source
        if isinstance(source, FilesSource):
            from rowcast.sources.files import S3FilesSource

            bucket = source.bucket or self.place.output("Bucket")
            client = self.place.aws.client("s3")
            owner = "" if source.bucket else source.name
            return S3FilesSource(client=client, bucket=bucket, prefix=source.prefix, scratch=scratch, owner=owner)
        from rowcast.sources.postgres import PostgresQuerySource

        return PostgresQuerySource(source, self._store().resolve(source.password) if source.password else None)

    # --- target ---

    def _target(self) -> Iterator[Check]:
        """Asked by the sync's own function, which alone may take the delivery role."""
        if self.deployment is None:
            return
        where = ", ".join(self._targets())
        event = {"sync": self.definition.sync, "check": self.place.definitions.pin(self.definition)}
        try:
            invoke(self.place, self.deployment.fan_out_function, event)
            yield self._say("target", "ok", f"{where} can be sent to.", rights=DELIVERY)
        except Refused as error:
            said = str(error).removeprefix("Nothing was sent: ")
            documents, commands = self._ways_in()
            todo = "Make the target, or let the sync in: see the policies."
            yield self._say("target", "fail", said, rights=DELIVERY, todo=todo, policies=documents, commands=commands)
        except RowcastError as error:
            yield self._say("target", "unknown", str(error), rights=DELIVERY, todo=self._deploying())

    def _targets(self) -> list[str]:
        region, account = self._own()
        return policies.targets(self.definition, region=region, account=account)

    def _own(self) -> tuple[str, str]:
        """The deployment's region and account, as its state machine's ARN has them."""
        parts = self.place.output("StateMachine").split(":")
        return parts[3], parts[4]

    def _ways_in(self) -> tuple[dict[str, Any], list[str]]:
        assert self.deployment is not None
        region, own = self._own()
        allowed = policies.permissions(self.definition, region=region, account=own)
        account = self.definition.destination.account
        documents, commands = {"permissions of who sends": allowed}, []
        if account is not None and account.role_arn is not None:
            trusted = policies.trust(
                self.deployment.delivery_role_arn, account.external_id or self.deployment.external_id
            )
            documents[f"trust policy of {account.role_arn}"] = trusted
            commands = [
                policies.trust_command(account.role_arn, trusted),
                policies.permissions_command(account.role_arn, allowed),
            ]
        if isinstance(self.definition.destination, EventBridgeDestination):
            there = policies.region_of(self.definition, region)
            commands += [
                policies.bus_command(bus, there) for bus in policies.buses_of(self.definition) if bus != "default"
            ]
        return documents, commands

    def _permitted(self) -> Iterator[Check]:
        if self.deployment is None:
            return
        asked = (self.place.aws, self.definition, self.deployment, self._targets())
        for finding in rights.simulated(*asked):
            paste: dict[str, Any] = {}
            if finding["status"] == "fail":
                paste["policies"], paste["commands"] = self._ways_in()
            yield self._say(**finding, **paste)
        for finding in rights.foreign_buses(*asked, self._own()[1]):
            yield self._say(**finding)

    def _function(self) -> Iterator[Check]:
        """A target function's state and time limit, against the time limit of the function that invokes it."""
        destination = self.definition.destination
        if not isinstance(destination, LambdaDestination) or destination.account is not None or self.deployment is None:
            return
        region = policies.region_of(self.definition, self._own()[0])
        client = self.place.aws.client("lambda", region=region)
        target = client.get_function_configuration(FunctionName=destination.function)
        ours = self.place.aws.client("lambda").get_function_configuration(FunctionName=self.deployment.fan_out_function)
        if target.get("State", "Active") not in ("Active", "Inactive"):
            yield self._say(
                "function", "fail", f"{destination.function} is {target['State']}.", todo="Wait, or mend it."
            )
        elif target["Timeout"] >= ours["Timeout"]:
            found = f"{destination.function} may take {target['Timeout']} s, and is waited for {ours['Timeout']} s."
            yield self._say("function", "warn", found, todo="Give it a shorter timeout: slow rows end in doubt.")
        else:
            yield self._say("function", "ok", f"{destination.function} answers within {target['Timeout']} s.")

    def _quota(self) -> Iterator[Check]:
        if self.place.aws.local is not None:  # the embedded AWS has none
            return
        limits = self.definition.limits
        has: float
        needs: float
        if isinstance(self.definition.destination, LambdaDestination):
            has = int(self.place.aws.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"])
            needs = limits.concurrency + limits.workers
            what = f"{needs} executions at once, of {has} in this account and region"
        else:
            found = self._quota_of("events", _PUT_EVENTS)
            if found is None:
                yield self._say("quota", "unknown", "The region's quota of PutEvents is not to be learned.")
                return
            has, needs = found, limits.rate.count / limits.rate.seconds if limits.rate else 0
            what = (
                f"up to {needs:g} events a second, of {has:g} calls" if needs else f"no rate; the region takes {has:g}"
            )
        status: Status = "ok" if needs <= has else "warn"
        todo = "" if status == "ok" else "Lower the limits, or have the quota raised."
        yield self._say("quota", status, f"The sync asks for {what}.", todo=todo)

    def _quota_of(self, service: str, name: str) -> float | None:
        region = policies.region_of(self.definition, self._own()[0])
        client = self.place.aws.client("service-quotas", region=region)
        token: dict[str, str] = {}
        while True:
            page = client.list_service_quotas(ServiceCode=service, **token)
            for quota in page.get("Quotas", []):
                if quota["QuotaName"] == name:
                    return float(quota["Value"])
            if not page.get("NextToken"):
                return None
            token = {"NextToken": page["NextToken"]}


_KEY = "Make the query give each key once, or name other columns in model.primary_key."
