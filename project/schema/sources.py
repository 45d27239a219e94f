"""The forms of secrets, sources and alert channels."""

from __future__ import annotations

from project.schema.words import DURATION, Schema, fields, kind, number, ref, text

SECRET: Schema = {
    "description": "A reference to a secret; the secret itself never stands in these files.",
    "x-secret": True,
    "errorMessage": "{secret: name in Secrets Manager}, {parameter: name in Parameter Store} or {env: VARIABLE}",
    "oneOf": [
        fields(
            "A secret in Secrets Manager.",
            {
                "secret": text(
                    "its name or ARN", r"^[\w/+=.@:-]{1,512}$", "a name or ARN of Secrets Manager", **{"x-secret": True}
                ),
                "key": text("the field to read when the secret is a JSON object", default="password"),
            },
            ("secret",),
        ),
        fields(
            "A SecureString in Parameter Store.",
            {
                "parameter": text(
                    "its name or ARN", r"^[\w/.:-]{1,2048}$", "a name or ARN of Parameter Store", **{"x-secret": True}
                ),
                "key": text("the field to read when the value is a JSON object", default="password"),
            },
            ("parameter",),
        ),
        fields(
            "An environment variable, for runs on this machine.",
            {"env": text("its name", r"^[A-Za-z_]\w*$", "a variable's name", **{"x-secret": True})},
            ("env",),
        ),
    ],
}

VPC = fields(
    "Where in a VPC the source is reached from.",
    {
        "subnets": {
            "type": "array",
            "description": "private subnets, in two zones or more",
            "items": text("a subnet", r"^subnet-[0-9a-f]{8,17}$", "a subnet's id: subnet-0123456789abcdef0"),
            "minItems": 1,
            "maxItems": 16,
            "uniqueItems": True,
        },
        "security_groups": {
            "type": "array",
            "description": "what the function may reach, and what lets it in",
            "items": text("a security group", r"^sg-[0-9a-f]{8,17}$", "a security group's id: sg-0123456789abcdef0"),
            "minItems": 1,
            "maxItems": 5,
            "uniqueItems": True,
        },
        "endpoints": fields(
            "Makes the endpoints by which the function reaches AWS: of S3, of DynamoDB, and of the password's store.",
            {
                "vpc": text("the VPC of the subnets", r"^vpc-[0-9a-f]{8,17}$", "a VPC's id: vpc-0123456789abcdef0"),
                "route_tables": {
                    "type": "array",
                    "description": "those of the subnets",
                    "items": text(
                        "a route table", r"^rtb-[0-9a-f]{8,17}$", "a route table's id: rtb-0123456789abcdef0"
                    ),
                    "minItems": 1,
                    "uniqueItems": True,
                },
            },
            ("vpc", "route_tables"),
        ),
    },
    ("subnets", "security_groups"),
)

SOURCE: Schema = {
    "description": "A database or a place with files.",
    "oneOf": [
        kind(
            "files",
            "CSV, JSON, JSON Lines and Parquet files, read by SQL.",
            {
                "path": text(
                    "a folder of the project, or s3://bucket/prefix",
                    r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?|(?!s3:|/|[A-Za-z]+://).+)$",
                    "a folder of the project (relative), or s3://bucket/prefix",
                )
            },
            ("path",),
        ),
        kind(
            "postgres",
            "PostgreSQL, and what speaks its protocol.",
            {
                "host": text(
                    "the server's name or address",
                    r"^(/\S*|[^\s/@]+)$",
                    "a server's name or address, with no user, password or port in it",
                    **{"x-secret": True},
                ),
                "port": number("the server's port", 1, 65535, 5432),
                "database": text("the database's name"),
                "user": text("the role to log in as"),
                "password": ref("secret"),
                "tls": {
                    "enum": ["verify", "require", "off"],
                    "default": "verify",
                    "description": "verify checks the server's certificate and name; require only encrypts",
                },
                "vpc": VPC,
                "tls_ca_file": text("a PEM file with the authority to trust in place of the system's"),
                "statement_timeout": text(
                    "how long the query may take", DURATION, "a time such as 5 minutes", default="14 minutes"
                ),
                "readers": number("connections that read one result at once, from one snapshot", 1, 16, 1),
            },
            ("host", "database", "user"),
        ),
    ],
}

ALERT_SECRET: Schema = {
    "description": "A reference to a secret, which CloudFormation reads when it deploys.",
    "x-secret": True,
    "errorMessage": "{secret: name in Secrets Manager} or {env: VARIABLE}",
    "oneOf": [
        one
        | {
            "properties": {
                name: {k: v for k, v in field.items() if k != "default"} for name, field in one["properties"].items()
            }
        }
        for one in SECRET["oneOf"]
        if "parameter" not in one["properties"]
    ],
}

ALERT: Schema = {
    "description": "A place that hears of alerts.",
    "oneOf": [
        kind(
            "email",
            "An e-mail address.",
            {"address": text("the address", r"^[^@\s]+@[^@\s]+$", "an e-mail address")},
            ("address",),
        ),
        kind(
            "sms",
            "A telephone number.",
            {
                "number": text(
                    "the number", r"^\+[1-9]\d{6,14}$", 'a number in international form, in quotes: "+4930123456"'
                )
            },
            ("number",),
        ),
        kind("slack", "A Slack channel.", {"webhook": ref("alert_secret")}, ("webhook",)),
        kind("pagerduty", "A PagerDuty service.", {"routing_key": ref("alert_secret")}, ("routing_key",)),
        kind(
            "webhook",
            "Any HTTPS endpoint.",
            {
                "url": {
                    "description": "its URL, or a reference to a secret that holds it",
                    "errorMessage": "an https:// URL, or a secret: {secret: …} or {env: …}",
                    "oneOf": [
                        text("its URL", r"^https://[^\s]+$", "an https:// URL", **{"x-secret": True}),
                        ref("alert_secret"),
                    ],
                },
                "token": ref("alert_secret"),
            },
            ("url",),
        ),
        kind(
            "eventbridge",
            "A bus in this region, which gets the events as they are.",
            {"bus": ref("bus")},
            ("bus",),
        ),
    ],
}
