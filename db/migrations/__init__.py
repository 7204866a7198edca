"""The schema's history: SQL files, applied in order by the revisions in `versions/`."""
