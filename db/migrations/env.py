"""Alembic's entry: `db.migrate` hands it a connection that holds the migration lock."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=True, version_table="schema_version")
with context.begin_transaction():
    context.run_migrations()
