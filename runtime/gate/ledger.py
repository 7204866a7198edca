"""What went through the gate: prompts, pictures that came in, files that were made. It outlives a restart.

Kept in SQLite, by ids and file names only: no prompt text is in it.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from runtime.gate.files import FileRef

SCHEMA = """
    create table if not exists prompts (id text primary key, posted_at real not null, busy_at real not null);
    create table if not exists uploads (kind text, subfolder text, name text, seen_at real not null,
        primary key (kind, subfolder, name));
    create table if not exists needs (prompt text, kind text, subfolder text, name text,
        primary key (prompt, kind, subfolder, name));
    create table if not exists made (prompt text, kind text, subfolder text, name text, is_new integer not null,
        primary key (prompt, kind, subfolder, name));
    create index if not exists made_by_file on made (kind, subfolder, name);
    create index if not exists needs_by_file on needs (kind, subfolder, name);
"""

LEFT = """
    select kind, subfolder, name from made as mine where prompt = :id and is_new and not exists (select 1 from made
        where kind = mine.kind and subfolder = mine.subfolder and name = mine.name and prompt <> :id)
    union select kind, subfolder, name from needs as mine join uploads using (kind, subfolder, name)
        where prompt = :id and seen_at <= (select posted_at from prompts where id = :id)
        and not exists (select 1 from needs
            where kind = mine.kind and subfolder = mine.subfolder and name = mine.name and prompt <> :id)
"""

HAND_ON = """
    update made set is_new = 1 where prompt <> :id and exists (select 1 from made as mine where mine.prompt = :id
        and mine.is_new and mine.kind = made.kind and mine.subfolder = made.subfolder and mine.name = made.name)
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
        self._base.execute(
            "insert into prompts values (:id, :now, :now) on conflict do update set posted_at = :now, busy_at = :now",
            {"id": prompt_id, "now": self._clock()},
        )
        for ref in {FileRef.parse(text) for text in texts}:
            if self.has_upload(ref):
                self._base.execute(
                    "insert or ignore into needs values (?, ?, ?, ?)", (prompt_id, ref.kind, ref.subfolder, ref.name)
                )

    def withdraw(self, prompt_id: str) -> None:
        """The prompt was not taken. What was uploaded for it is for another, or goes when it is old."""
        self._drop(prompt_id)

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

    def has_upload(self, ref: FileRef) -> bool:
        """Whether that picture came in here and is not forgotten."""
        return self._find("uploads", ref)

    def make(self, prompt_id: str, refs: Iterable[FileRef], *, is_new: bool = True) -> None:
        """The prompt's results are these files. An input that it merely shows is none of them.

        is_new: False for what the server's cache answered: another run wrote it, which may be somebody else's.
        """
        self._base.executemany(
            "insert into made values (?, ?, ?, ?, ?) on conflict do update set is_new = max(is_new, excluded.is_new)",
            [(prompt_id, ref.kind, ref.subfolder, ref.name, is_new) for ref in refs if ref.kind != "input"],
        )

    def made_here(self, ref: FileRef) -> bool:
        """Whether that file is a result of a prompt of ours."""
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
        """The files that can go with the prompt: results of its alone, and inputs that nobody else needs.

        An input that came in once more after the prompt was posted is for one that is still to come.
        """
        return [FileRef(*row) for row in self._base.execute(LEFT, {"id": prompt_id})]

    def forget(self, prompt_id: str) -> None:
        """The prompt is over and cleaned up. What it shares with another goes with that one."""
        for ref in self.left_by(prompt_id):
            self._base.execute(
                "delete from uploads where kind = ? and subfolder = ? and name = ?", (ref.kind, ref.subfolder, ref.name)
            )
        self._base.execute(HAND_ON, {"id": prompt_id})
        self._drop(prompt_id)

    def is_empty(self) -> bool:
        """Whether there is no prompt of ours."""
        return self._base.execute("select 1 from prompts limit 1").fetchone() is None

    def see_busy(self, prompt_ids: Iterable[str]) -> None:
        """These wait or run just now; others' are passed over."""
        now = self._clock()
        self._base.executemany("update prompts set busy_at = ? where id = ?", [(now, one) for one in prompt_ids])

    def overdue(self, seconds: float) -> list[str]:
        """Prompts that neither waited nor ran for so long."""
        rows = self._base.execute("select id from prompts where busy_at <= ?", (self._clock() - seconds,))
        return [row[0] for row in rows]

    def drop_unused_uploads(self, seconds: float) -> list[FileRef]:
        """Pictures that came in so long ago and that no prompt needs; forgotten with this call."""
        rows = self._base.execute(
            """delete from uploads where seen_at <= ? and not exists (select 1 from needs where kind = uploads.kind
                   and subfolder = uploads.subfolder and name = uploads.name) returning kind, subfolder, name""",
            (self._clock() - seconds,),
        ).fetchall()
        return [FileRef(*row) for row in rows]

    def _drop(self, prompt_id: str) -> None:
        for table in ("made", "needs"):
            self._base.execute(f"delete from {table} where prompt = ?", (prompt_id,))
        self._base.execute("delete from prompts where id = ?", (prompt_id,))

    def _find(self, table: str, ref: FileRef) -> bool:
        found = self._base.execute(
            f"select 1 from {table} where kind = ? and subfolder = ? and name = ?", (ref.kind, ref.subfolder, ref.name)
        )
        return found.fetchone() is not None
