-- Who may look at the console. digest: SHA-256 of what the link, or the cookie, says. A link that was used is gone.
create table console_links (
    digest     bytea       primary key,
    expires_at timestamptz not null
);
create table console_sessions (
    digest     bytea       primary key,
    started_at timestamptz not null default now(),
    seen_at    timestamptz not null default now(),
    expires_at timestamptz not null
);

-- Dead letters, newest first.
create index jobs_dead on jobs (id) where state = 'dead';
