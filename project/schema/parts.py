"""The forms that syncs and defaults share, and accounts."""

from __future__ import annotations

from project.schema.words import DURATION, NAME, NAMED, Schema, fields, flag, names, number, ref, text

SCHEDULE: Schema = {
    "description": "When the sync runs by itself.",
    "errorMessage": '{every: 15 minutes}, {cron: "0 7 * * ? *", timezone: Europe/Berlin} or manual',
    "oneOf": [
        {"const": "manual", "description": "Only when somebody starts it."},
        fields(
            "At a fixed rate.",
            {
                "every": text(
                    "the rate",
                    r"^[1-9]\d{0,5} (minutes?|hours?|days?)$",
                    "a whole number of minutes, hours or days, at least 1 minute: 15 minutes, 1 hour, 2 days",
                )
            },
            ("every",),
            **{"x-hints": {"timezone": "a time zone goes with cron", "cron": "every and cron exclude each other"}},
        ),
        fields(
            "At times of the calendar.",
            {
                "cron": text("EventBridge Scheduler's six fields: minute hour day month weekday year"),
                "timezone": text("an IANA time zone", default="UTC"),
            },
            ("cron",),
            **{"x-hints": {"every": "every and cron exclude each other"}},
        ),
    ],
}

ACCOUNT: Schema = {
    "description": "Whose account the destination lies in; without it, the deployment's own.",
    "errorMessage": "{role_arn: …, external_id: …} or {access_key_secret: name}",
    "oneOf": [
        fields(
            "A role to assume.",
            {
                "role_arn": text(
                    "the role's ARN",
                    r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]{1,512}$",
                    "a role's ARN, like arn:aws:iam::111122223333:role/rowcast",
                ),
                "external_id": text(
                    "the id that the role's trust policy asks for",
                    r"^[\w+=,.@:/-]{2,1224}$",
                    "2 to 1224 letters, digits or _+=,.@:/- (in quotes if it looks like a number)",
                ),
            },
            ("role_arn",),
            **{"x-hints": {"access_key_secret": "role_arn and access_key_secret exclude each other"}},
        ),
        fields(
            "An access key kept as a secret.",
            {
                "access_key_secret": {
                    "description": "the secret's name, or a reference to it",
                    "errorMessage": "a secret's name, {secret: name}, {parameter: name} or {env: VARIABLE}",
                    "oneOf": [
                        text(
                            "its name in Secrets Manager",
                            r"^[\w/+=.@:-]{1,512}$",
                            "a name or ARN of Secrets Manager",
                            **{"x-secret": True},
                        ),
                        ref("secret"),
                    ],
                }
            },
            ("access_key_secret",),
            **{"x-hints": {"external_id": "an external id goes with role_arn"}},
        ),
    ],
}

RETRY = fields(
    "What happens inside the run to a change that was not accepted; afterwards the next run owes it.",
    {
        "immediate": number("further attempts inside the run", 0, 20, 3),
        "backoff": text(
            "the first wait, doubled each time, with jitter", DURATION, "a time such as 1s or 500ms", default="1s"
        ),
    },
)

RATE = text(
    "changes sent at most",
    r"^[1-9]\d{0,8} per (second|minute|hour)$",
    "changes per second, minute or hour: 600 per minute",
)

LIMITS = fields(
    "What the destination can take.",
    {
        "rate": RATE,
        "pool": text("a pool of rowcast.yaml: syncs that name the same one share its rate"),
        "concurrency": number("calls in flight at once", 1, 1000, 10),
        "rows_per_partition": number("rows that are diffed at once", 1, 5_000_000, 500_000),
    },
)


_SHARE = "a share: 15% or 0.15"


def share(description: str, default: float) -> Schema:
    return {
        "description": description,
        "default": default,
        "errorMessage": _SHARE,
        "oneOf": [
            {"type": "string", "pattern": r"^(100(\.0+)?|\d{1,2}(\.\d+)?) ?%$", "errorMessage": _SHARE},
            {"type": "number", "minimum": 0, "maximum": 1, "errorMessage": _SHARE},
        ],
    }


GUARD = fields(
    "When a run is held for a person to look at, instead of sending.",
    {
        "max_removed": share("the share of rows that may be gone", 0.15),
        "max_changed": share("the share of rows that may be changed", 0.5),
        "max_rejected": share("the share of changes that may be rejected for one same reason", 0.2),
        "allow_empty": flag("whether the query may suddenly give no row at all", False),
        "allow_retyped": flag("whether rows may be sent because a column came to be of another type", False),
    },
)

POOLS: Schema = {
    "type": ["object", "null"],
    "description": "name: a limit that syncs share which send to the same system",
    "propertyNames": {"pattern": NAME, "errorMessage": NAMED},
    "additionalProperties": fields("A shared limit.", {"rate": RATE}, ("rate",)),
}

PERIOD = r"^[1-9]\d{0,5} (minutes?|hours?|days?)$"
_CHANNELS = names("alert channels of rowcast.yaml")


def _period(description: str) -> Schema:
    return text(description, PERIOD, "a whole number of minutes, hours or days: 2 hours, 7 days")


_NO_SUCCESS = {
    "description": "no run completed for so long; without it, two starts by the schedule and half an hour",
    "errorMessage": "2 hours, 7 days, or false",
    "oneOf": [
        {"enum": [False, "off", "no"], "description": "not watched"},
        text("the time", PERIOD, "a whole number of minutes, hours or days"),
    ],
}
_REJECTED = {
    "description": "so many rows of a run, or more than this share of its changes, were not accepted",
    "errorMessage": "a number of rows, or a share: 5%",
    "oneOf": [
        {"type": "integer", "minimum": 1, "description": "rows"},
        {"type": "string", "pattern": r"^(100(\.0+)?|\d{1,2}(\.\d+)?) ?%$", "description": "a share"},
    ],
}
ALERTS: Schema = {
    "description": "Who is told, and of what besides failed and held runs.",
    "errorMessage": "a list of channels, or a mapping such as {channels: [team], rejected: 5%}",
    "oneOf": [
        _CHANNELS,
        fields(
            "Channels and rules.",
            {
                "channels": _CHANNELS,
                "severity": {
                    "enum": ["critical", "error", "warning", "info"],
                    "default": "error",
                    "description": "how grave this sync's alerts are",
                },
                "rejected": _REJECTED,
                "reasons": flag("whether a message on rejected rows tells the destination's first reasons", False),
                "slower_than": _period("a run took longer"),
                "no_success_for": _NO_SUCCESS,
                "rows": fields(
                    "The number of rows in the model.",
                    {
                        "min": {"type": "integer", "minimum": 0, "description": "fewer are an alert"},
                        "max": {"type": "integer", "minimum": 0, "description": "more are an alert"},
                        "change": {
                            "type": "string",
                            "pattern": r"^\d{1,5}(\.\d+)? ?%$",
                            "description": "a run's rows differ by more from those of the run before",
                            "errorMessage": "a share: 30%",
                        },
                    },
                    minProperties=1,
                ),
                "unchanged_for": _period("no row was added, changed or removed for so long"),
                "debt_older_than": _period("a row is owed for so long"),
                "muted_until": text("nothing is told before this time: 2027-01-31T08:00:00Z"),
            },
            minProperties=1,
        ),
    ],
}
