"""Alembic's entry: runs this service's steps on the connection that `shared.migrations` opened."""

from shared.migrations import run_environment

run_environment()
