"""`rowcast doctor` and `rowcast buses`: what to know before anything is sent."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.options import COMPLETED, FAILED, as_json, emit, known_sync, where_options


@click.command()
@click.argument("sync", required=False)
@where_options
@as_json
@click.pass_obj
def doctor(project: Path, sync: str | None, local: bool, profile: str | None, stack: str, json_: bool) -> int:
    """Checks what SYNC, or every sync, needs before its first run. Sends nothing (exit code 1: something fails)."""
    import msgspec

    import project as configuration
    from workbench import deployment, show_doctor
    from workbench.doctor import Patient
    from workbench.local import provision

    loaded = configuration.load(project)
    names = [known_sync(project, sync)] if sync else sorted(loaded.syncs)
    place = deployment.find(project, local=local, profile=profile, stack=stack)
    needs = provision.needs(loaded)
    provision.copy_folders(place.aws.client("s3"), place.output("Bucket"), needs.folders)
    if place.aws.local is not None:
        provision.put_secrets(place.aws, needs.secrets)
    failed = False
    for name in names:
        for check in Patient(place, loaded.syncs[name].definition).examine():
            failed = failed or check.status == "fail"
            if json_:
                emit([msgspec.to_builtins(check)])
            else:
                show_doctor.check(check)
    return FAILED if failed else COMPLETED


@click.command()
@click.option("--region", required=True, help="Their region.")
@click.option("--role", help="The ARN of a role to look with, perhaps of another account.")
@click.option("--external-id", help="The external id that the role asks for.")
@click.option("--local", is_flag=True, help="The embedded AWS (the default where one was started).")
@click.option("--profile", help="A real account, by the name of its AWS profile.")
@as_json
@click.pass_obj
def buses(
    project: Path,
    region: str,
    role: str | None,
    external_id: str | None,
    local: bool,
    profile: str | None,
    json_: bool,
) -> None:
    """Lists the event buses to choose from."""
    from workbench import show_doctor
    from workbench.buses import client, found

    records = found(client(project, region, role, external_id, local=local, profile=profile), region)
    if json_:
        emit(records)
    else:
        show_doctor.buses(list(records))
