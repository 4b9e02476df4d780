"""Writing single messages as message-db does, in SQL alone; driven by PostgreSQL's own pgbench.

Written anew from what its documentation says of `write_message`: writers of a category take turns
by an advisory lock that ends with the transaction, the stream's version is looked up and compared,
and the message is inserted under the next position; there is an index each for identity, stream and
category.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from tests.support.postgresql import PostgreSQL

SECONDS = 5
_SCHEMA = """
CREATE TABLE messages (
  global_position bigserial PRIMARY KEY, position bigint NOT NULL,
  time timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'), stream_name text NOT NULL,
  type text NOT NULL, data jsonb, metadata jsonb, id uuid NOT NULL UNIQUE,
  UNIQUE (stream_name, position));
CREATE INDEX messages_category ON messages (split_part(stream_name, '-', 1), global_position);
CREATE FUNCTION write_message(
  id uuid, stream text, type text, data jsonb, metadata jsonb, expected bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE version bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(split_part(stream, '-', 1), 0));
  SELECT max(m.position) INTO version FROM messages AS m WHERE m.stream_name = stream;
  version := coalesce(version, -1);
  IF expected IS NOT NULL AND expected <> version THEN
    RAISE EXCEPTION 'wrong expected version';
  END IF;
  INSERT INTO messages (id, stream_name, position, type, data, metadata)
  VALUES (write_message.id, stream, version + 1, write_message.type, write_message.data,
          write_message.metadata);
  RETURN version + 1;
END $$;
"""
_SCRIPT = (
    "\\set deal random(1, 1000000000)\n"
    "\\set amount random(100, 100000)\n"
    "SELECT write_message(gen_random_uuid(), 'deal-' || :deal, 'crm.opportunity.closed',"
    ' (\'{"amount": \' || :amount || \', "currency": "EUR", "outcome": "won", "region": "north"}\')'
    '::jsonb, \'{"source": "/bench"}\'::jsonb, NULL);\n'
)


def messages_per_second(server: PostgreSQL, clients: int) -> float:
    """How many messages so many clients get written, each committed before the next."""
    name = server.create()
    server.execute(_SCHEMA, name)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "write.sql"
        script.write_text(_SCRIPT)
        told = subprocess.run(
            [
                str(server.binaries / "pgbench"), "-n", "-c", str(clients), "-j", "2",
                "-T", str(SECONDS), "-f", str(script), "-h", "127.0.0.1", "-p", str(server.port),
                "-U", "postgres", name,
            ],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", told)
    assert found is not None, told
    return float(found[1])
