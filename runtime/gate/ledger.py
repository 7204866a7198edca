"""What went through the gate: prompts, pictures that came in, files that were made. It outlives a restart.

Kept in SQLite, by ids and file names only: no prompt text is in it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from runtime.gate.files import FileRef

SCHEMA = """
    create table if not exists prompts (id text primary key, posted_at real not null);
    create table if not exists uploads (kind text, subfolder text, name text, seen_at real not null,
        primary key (kind, subfolder, name));
    create table if not exists needs (prompt text, kind text, subfolder text, name text,
        primary key (prompt, kind, subfolder, name));
    create table if not exists made (prompt text, kind text, subfolder text, name text,
        primary key (prompt, kind, subfolder, name));
    create index if not exists made_by_file on made (kind, subfolder, name);
    create index if not exists needs_by_file on needs (kind, subfolder, name);
"""


class Ledger:
    """The gate's memory, in `folder`. clock: seconds since the epoch."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._base = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
        self._base.execute("pragma journal_mode = wal")
        self._base.execute("pragma synchronous = normal")
        self._base.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def post(self, prompt_id: str, texts: Iterable[str]) -> None:
        """A prompt comes in. texts: what its graph holds; those that name an upload are inputs of it."""
        self._base.execute("insert or ignore into prompts values (?, ?)", (prompt_id, self._clock()))
        for text in texts:
            ref = FileRef.parse(text)
            if self._find("uploads", ref):
                self._base.execute(
                    "insert or ignore into needs values (?, ?, ?, ?)", (prompt_id, ref.kind, ref.subfolder, ref.name)
                )

    def owns(self, prompt_id: object) -> bool:
        """Whether the prompt came through this gate and is not forgotten."""
        return isinstance(prompt_id, str) and bool(
            self._base.execute("select 1 from prompts where id = ?", (prompt_id,)).fetchone()
        )

    def upload(self, ref: FileRef) -> None:
        """A picture came in."""
        self._base.execute(
            "insert into uploads values (?, ?, ?, ?) on conflict do update set seen_at = excluded.seen_at",
            (ref.kind, ref.subfolder, ref.name, self._clock()),
        )

    def make(self, prompt_id: str, refs: Iterable[FileRef]) -> None:
        """The prompt wrote these files. An input that it merely shows is none of them."""
        self._base.executemany(
            "insert or ignore into made values (?, ?, ?, ?)",
            [(prompt_id, ref.kind, ref.subfolder, ref.name) for ref in refs if ref.kind != "input"],
        )

    def made_here(self, ref: FileRef) -> bool:
        """Whether a prompt of ours wrote that file."""
        return self._find("made", ref)

    def without_files(self, limit: int) -> list[str]:
        """The latest of our prompts of which no file is known yet."""
        rows = self._base.execute(
            "select id from prompts where not exists (select 1 from made where prompt = id)"
            " order by posted_at desc limit ?",
            (limit,),
        )
        return [row[0] for row in rows]

    def left_by(self, prompt_id: str) -> list[FileRef]:
        """The files that can go with the prompt: what it alone made, and inputs that no other prompt needs."""
        rows = self._base.execute(
            """select kind, subfolder, name from made as mine where prompt = :id and not exists (select 1 from made
                   where kind = mine.kind and subfolder = mine.subfolder and name = mine.name and prompt <> :id)
               union select kind, subfolder, name from needs as mine where prompt = :id and not exists (
                   select 1 from needs where kind = mine.kind and subfolder = mine.subfolder and name = mine.name
                   and prompt <> :id)""",
            {"id": prompt_id},
        )
        return [FileRef(*row) for row in rows]

    def forget(self, prompt_id: str) -> None:
        """The prompt is over and cleaned up."""
        for ref in self.left_by(prompt_id):
            self._base.execute(
                "delete from uploads where kind = ? and subfolder = ? and name = ?", (ref.kind, ref.subfolder, ref.name)
            )
        for table in ("made", "needs"):
            self._base.execute(f"delete from {table} where prompt = ?", (prompt_id,))
        self._base.execute("delete from prompts where id = ?", (prompt_id,))

    def overdue(self, seconds: float) -> list[str]:
        """Prompts that were posted so long ago."""
        rows = self._base.execute("select id from prompts where posted_at < ?", (self._clock() - seconds,))
        return [row[0] for row in rows]

    def drop_unused_uploads(self, seconds: float) -> list[FileRef]:
        """Pictures that came in so long ago and that no prompt needs; forgotten with this call."""
        rows = self._base.execute(
            """delete from uploads where seen_at < ? and not exists (select 1 from needs where kind = uploads.kind
                   and subfolder = uploads.subfolder and name = uploads.name) returning kind, subfolder, name""",
            (self._clock() - seconds,),
        ).fetchall()
        return [FileRef(*row) for row in rows]

    def _find(self, table: str, ref: FileRef) -> bool:
        found = self._base.execute(
            f"select 1 from {table} where kind = ? and subfolder = ? and name = ?", (ref.kind, ref.subfolder, ref.name)
        )
        return found.fetchone() is not None
