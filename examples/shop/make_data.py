"""Writes the shop's data as it is on one of three days: python make_data.py --step start|day2|mended

The same step always gives the same files.

start   200 orders and 60 customers
day2    12 orders are placed, 9 change and 6 are deleted; 20 customers join, two of them with an address that cannot be
        one, and 3 get a new address
mended  those two addresses are put right, and one of the two has moved meanwhile
"""

from __future__ import annotations

import argparse
import csv
import random
from datetime import datetime, timedelta
from pathlib import Path

Row = dict[str, str]

FOLDER = Path(__file__).parent / "data"
OPENED = datetime(2026, 11, 1, 8, 0)
FIRST_NAMES = ("Alice", "Bruno", "Chloé", "Dmitri", "Elif", "Farid", "Greta", "Hugo", "Inès", "Jürgen", "Kofi", "Lena")
LAST_NAMES = ("Adler", "Brandt", "Costa", "Dupont", "Eriksson", "Fischer", "Garcia", "O'Neill", "Novák", "Öztürk")
CITIES = ("Berlin", "Lyon", "Porto", "Graz", "Gent", "Malmö", "Kraków", "Cork")
STATUSES = ("placed", "paid", "sent", "delivered")
BROKEN = {"928768": "pia.example.com", "928777": "tom@@example"}
MENDED = {"928768": {"email": "pia@example.com"}, "928777": {"email": "tom@example.com", "city": "Lyon"}}


def customers(step: str) -> list[Row]:
    chance = random.Random("customers")  # noqa: S311
    rows = [_customer(928700 + number, chance) for number in range(60 if step == "start" else 80)]
    if step == "start":
        return rows
    for row in rows[5:35:10]:
        row["email"] = row["email"].replace("@example.com", "@example.org")
    for row in rows:
        row["email"] = BROKEN.get(row["customer_id"], row["email"])
        if step == "mended":
            row.update(MENDED.get(row["customer_id"], {}))
    return rows


def _customer(number: int, chance: random.Random) -> Row:
    first, last = chance.choice(FIRST_NAMES), chance.choice(LAST_NAMES)
    return {
        "customer_id": str(number),
        "email": f"customer{number}@example.com",
        "first_name": first,
        "last_name": last,
        "city": chance.choice(CITIES),
    }


def orders(step: str) -> list[Row]:
    chance = random.Random("orders")  # noqa: S311
    rows = [_order(5001 + number, chance) for number in range(200 if step == "start" else 212)]
    if step == "start":
        return rows
    for row in rows[20:200:20]:
        row["status"] = "returned" if row["status"] == "delivered" else "cancelled"
    gone = {row["order_id"] for row in rows[13:193:33]}
    return [row for row in rows if row["order_id"] not in gone]


def _order(number: int, chance: random.Random) -> Row:
    customer = 928700 + chance.randrange(60)
    return {
        "order_id": str(number),
        "customer_id": str(customer),
        "email": f"customer{customer}@example.com",
        "status": chance.choice(STATUSES),
        "total": f"{chance.randrange(500, 25000) / 100:.2f}",
        "placed_at": (OPENED + timedelta(minutes=37 * (number - 5001))).isoformat(sep=" "),
    }


def write(step: str, folder: Path = FOLDER) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (("orders", orders(step)), ("customers", customers(step))):
        part = folder / f".{name}.csv.part"
        with part.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        part.replace(folder / f"{name}.csv")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description="Writes the shop's sample data.")
    arguments.add_argument("--step", choices=("start", "day2", "mended"), default="start")
    write(arguments.parse_args().step)
