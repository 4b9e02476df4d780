"""`make soak`: many kills on both databases; prints what was told and found."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

from tests.soak.siege import besiege
from tests.support.house import Databases
from tests.support.postgresql import PostgreSQL

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "50"))


def main() -> None:
    seed = int(os.environ.get("SOAK_SEED", str(int(time.time()))))
    print(f"{ROUNDS} rounds on each database, SOAK_SEED={seed}")
    with tempfile.TemporaryDirectory() as folder:
        server = PostgreSQL(["fsync=on", "synchronous_commit=on"])
        try:
            for databases in (
                Databases("sqlite", Path(folder)),
                Databases("postgresql", Path(folder), server),
            ):
                told = besiege(databases, ROUNDS, seed)
                print(
                    f"{databases.kind}: {len(told.events):,} events and {len(told.deals):,} "
                    f"deliveries were acknowledged over {ROUNDS} kills; each is there once. "
                    f"Refused meanwhile: {dict(told.refused)}",
                    flush=True,
                )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
