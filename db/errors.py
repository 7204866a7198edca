"""What can go wrong with the database, one class per thing the operator can do about it."""


class DatabaseError(Exception):
    """Base of the errors of this folder."""


class DatabaseAway(DatabaseError):
    """The server does not answer: what was to be written is still to be written, later."""


class EmbeddedServerFailed(DatabaseError):
    """The embedded PostgreSQL did not start. The text ends with the last lines of its log."""


class DatabaseVersionMismatch(DatabaseError):
    """The data folder was made by another major version of PostgreSQL: dump with that one, restore with this one."""


class UnsafeFolder(DatabaseError):
    """A folder that must be private is not ours alone: somebody else may have made it."""


class SchemaError(DatabaseError):
    """The schema and the code do not fit: the text says which of them to change."""
