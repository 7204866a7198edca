-- Functions over HTTP. A token is a caller of its own: `hash` is the SHA-256 of its text, which is stored nowhere;
-- `prefix` its first characters, for people. Null in a limit: no bound. rate_at: when its requests so far would be
-- over at an even pace. day, jobs_of_day: how many jobs it has asked for on that day (UTC).
create table tokens (
    id             bigint      generated always as identity primary key,
    name           text        not null,
    prefix         text        not null,
    hash           bytea       not null unique,
    scopes         text[]      not null,
    commands       text[],
    per_minute     integer     check (per_minute > 0),
    open_jobs      integer     check (open_jobs > 0),
    per_day        integer     check (per_day > 0),
    signing_secret bytea       not null,
    rate_at        timestamptz,
    day            date,
    jobs_of_day    integer     not null default 0,
    created_at     timestamptz not null default now(),
    expires_at     timestamptz,
    revoked_at     timestamptz,
    last_used_at   timestamptz
);

-- owner: in whose name a job waits, for turns and limits: a user of Telegram, or a token, by its number below zero.
alter table jobs add column token_id bigint references tokens on delete set null;
alter table jobs add column owner bigint generated always as (coalesce(user_id, -token_id)) stored;
drop index jobs_open_of_user;
create index jobs_open_of_owner on jobs (owner) where state in ('queued', 'placed', 'running');
create index jobs_of_token on jobs (token_id, id desc) where token_id is not null;
alter table artifacts add column token_id bigint references tokens on delete set null;
create index artifacts_of_token on artifacts (token_id) where token_id is not null;

-- What an Idempotency-Key stood for. Null job_id: the job is not kept any more.
create table idempotency_keys (
    token_id   bigint      not null references tokens on delete cascade,
    key        text        not null,
    request    bytea       not null,
    job_id     bigint      references jobs on delete set null,
    created_at timestamptz not null default now(),
    primary key (token_id, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);
create index idempotency_keys_by_job on idempotency_keys (job_id);

-- One result webhook: owed when its job is over. run_at: not before; whoever sends it moves that ahead first, so that it
-- comes up again by itself if the sender dies.
create table callbacks (
    id         bigint      generated always as identity primary key,
    job_id     bigint      not null unique references jobs on delete cascade,
    token_id   bigint      references tokens on delete cascade,
    message_id text        not null,
    url        text        not null,
    state      text        not null default 'open' check (state in ('open', 'delivered', 'failed')),
    attempts   smallint    not null default 0,
    run_at     timestamptz not null default now(),
    created_at timestamptz not null default now(),
    ended_at   timestamptz
);
create index callbacks_open on callbacks (run_at) where state = 'open';
create table callback_tries (
    callback_id bigint           not null references callbacks on delete cascade,
    number      smallint         not null,
    at          timestamptz      not null default now(),
    status      smallint,
    error       text,
    seconds     double precision not null,
    primary key (callback_id, number)
);
