"""What may be known of the right to send without sending: IAM's simulation, and other accounts' bus policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rowcast.definition import Definition, EventBridgeDestination
from rowcast.models import Deployment
from workbench import policies
from workbench.aws import Aws

Finding = dict[str, Any]
"""A check's name, status, what was found and what to do, as `doctor.Check` has them."""


def simulated(aws: Aws, definition: Definition, deployment: Deployment, targets: Sequence[str]) -> Iterator[Finding]:
    """Whether IAM lets the delivery role send to each target. That it may not be simulated is a note, not a failure."""
    account, action = definition.destination.account, policies.sending(definition)
    if account is not None:
        sender = account.role_arn or "the access key's user"
        found = f"What {sender} may do can be simulated in its own account alone."
        yield {"check": "permitted", "status": "unknown", "found": found}
        return
    try:
        answer = aws.client("iam").simulate_principal_policy(
            PolicySourceArn=deployment.delivery_role_arn, ActionNames=[action], ResourceArns=list(targets)
        )
    except (ClientError, BotoCoreError) as error:
        found = f"Whether the delivery role may {action} could not be simulated ({code(error)})."
        todo = "To have it checked, allow yourself iam:SimulatePrincipalPolicy."
        yield {"check": "permitted", "status": "unknown", "found": found, "todo": todo}
        return
    refused = [one for one in answer["EvaluationResults"] if one["EvalDecision"] != "allowed"]
    if not refused:
        yield {"check": "permitted", "status": "ok", "found": f"IAM lets the delivery role {action} there."}
        return
    where = ", ".join(f"{one['EvalResourceName']} ({one['EvalDecision']})" for one in refused)
    yield {
        "check": "permitted",
        "status": "fail",
        "found": f"IAM does not let the delivery role {action} at {where}.",
        "todo": "Deploy again (make deploy), or lift what denies it: the role needs this policy.",
    }


def foreign_buses(
    aws: Aws, definition: Definition, deployment: Deployment, targets: Sequence[str], own: str
) -> Iterator[Finding]:
    """The policies of buses of other accounts that the delivery role itself sends to."""
    destination = definition.destination
    if isinstance(destination, EventBridgeDestination) and destination.account is None:
        for bus in (arn for arn in targets if arn.split(":")[4] != own):
            yield {"check": "bus", **_bus(aws, bus, deployment.delivery_role_arn)}


def _bus(aws: Aws, bus: str, role: str) -> Finding:
    document = policies.bus_policy(bus, role)
    command = policies.bus_policy_command(bus, document)
    paste = {"policies": {f"policy of {bus}": document}, "commands": [command]}
    try:
        said = aws.client("events", region=bus.split(":")[3]).describe_event_bus(Name=bus)
    except (ClientError, BotoCoreError) as error:
        found = f"The policy of {bus} may not be read from here ({code(error)})."
        return {"status": "unknown", "found": found, "todo": "Its owner needs this policy on it.", **paste}
    lets_in = policies.lets_in(said.get("Policy", ""), role)
    if lets_in is None:
        return {"status": "unknown", "found": f"The policy of {bus} has conditions or denials: a run will tell."}
    if lets_in:
        return {"status": "ok", "found": f"The policy of {bus} lets the delivery role in."}
    found = f"The policy of {bus} does not let the delivery role in."
    return {"status": "fail", "found": found, "todo": "Its owner must add this policy.", **paste}


def code(error: Exception) -> str:
    response = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)
