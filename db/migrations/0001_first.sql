-- The raw updates as Telegram sent them. `order_key` is the chat (messages) or the user (callbacks) in whose order
-- they take effect; null if the update names neither.
create table updates (
    bot_id      bigint      not null,
    update_id   bigint      not null,
    order_key   bigint,
    body        bytea       not null,
    received_at timestamptz not null default now(),
    state       text        not null default 'pending' check (state in ('pending', 'done', 'failed')),
    attempts    smallint    not null default 0,
    error       text,
    ended_at    timestamptz,
    primary key (bot_id, update_id)
);
create index updates_pending on updates (bot_id, order_key, update_id) where state = 'pending';
create index updates_ended on updates (ended_at) where state <> 'pending';

-- What is known about a chat. `quiet_until`: Telegram asked us (429) to send nothing to it before then.
create table chats (
    chat_id     bigint      primary key,
    kind        text        not null check (kind in ('private', 'group', 'supergroup', 'channel')),
    language    text,
    settings    jsonb       not null default '{}',
    quiet_until timestamptz,
    blocked_at  timestamptz,
    refused_at  timestamptz,
    seen_at     timestamptz not null default now()
);

-- The command -> workflow mapping: one row for every version of a command that was ever enabled.
create table commands (
    id              bigint      generated always as identity primary key,
    name            text        not null,
    aliases         text[]      not null,
    plugin          text        not null,
    plugin_version  text        not null,
    summary         text        not null,
    workflow_digest text        not null,
    workflow        jsonb       not null,
    enabled         boolean     not null default true,
    first_seen_at   timestamptz not null default now(),
    synced_at       timestamptz not null default now(),
    unique (name, plugin, plugin_version, workflow_digest)
);

create table backends (
    name            text        primary key,
    device          text        not null default '',
    vram_gb         double precision not null default 0,
    health          text        not null default 'unknown' check (health in ('unknown', 'ready', 'away', 'drained')),
    health_reason   text,
    comfyui_version text,
    warm_model_set  text,
    missing         jsonb       not null default '{}',
    checked_at      timestamptz
);

create table jobs (
    id                bigint      generated always as identity primary key,
    state             text        not null default 'queued' check (state in
                          ('queued', 'placed', 'running', 'collected', 'delivered', 'failed', 'cancelled', 'dead')),
    command_id        bigint      not null references commands,
    command           text        not null,
    variant           text,
    arguments         jsonb       not null,
    model_set         text        not null default '',
    chat_id           bigint,
    user_id           bigint,
    message_id        bigint,
    thread_id         bigint,
    media_group_id    text,
    language          text,
    dedupe_key        text        unique,
    priority          smallint    not null default 0,
    run_at            timestamptz not null default now(),
    attempt           smallint    not null default 0,
    max_attempts      smallint    not null default 3,
    fence             bigint      not null default 0,
    lease_owner       text,
    lease_until       timestamptz,
    woken_at          timestamptz,
    cancel_requested  boolean     not null default false,
    backend           text,
    placement         text,
    prompt_id         text,
    progress          jsonb,
    error             text,
    error_detail      text,
    status_message_id bigint,
    created_at        timestamptz not null default now(),
    placed_at         timestamptz,
    started_at        timestamptz,
    ended_at          timestamptz,
    expires_at        timestamptz not null default now() + interval '24 hours'
);
create index jobs_queued on jobs (priority desc, run_at, id) where state = 'queued';
create index jobs_placed on jobs (woken_at) where state = 'placed';
create index jobs_leased on jobs (lease_until) where state = 'running';
create index jobs_open_by_user on jobs (user_id, command) where state in ('queued', 'placed', 'running');
create index jobs_by_chat on jobs (chat_id, id desc);
create index jobs_expiry on jobs (expires_at);

-- One place in a backend's pipeline. A job holds at most one; null job_id = free.
create table slots (
    backend  text     not null references backends on delete cascade,
    position smallint not null,
    job_id   bigint   unique references jobs on delete set null,
    primary key (backend, position)
);

create table attempts (
    job_id     bigint      not null references jobs on delete cascade,
    number     smallint    not null,
    fence      bigint      not null,
    command_id bigint      not null references commands,
    backend    text        not null,
    prompt_id  text,
    worker     text        not null,
    started_at timestamptz not null default now(),
    ended_at   timestamptz,
    outcome    text,
    error      text,
    primary key (job_id, number)
);

-- One input or output medium. Where it is: in `blobs`, at Telegram (file_id), or as a file on a backend.
create table artifacts (
    id                  bigint      generated always as identity primary key,
    job_id              bigint      references jobs on delete set null,
    parent_id           bigint      references artifacts on delete set null,
    position            smallint    not null default 0,
    kind                text        not null check (kind in ('image', 'video')),
    media_type          text        not null,
    size_bytes          bigint,
    digest              text,
    width               integer,
    height              integer,
    duration_seconds    double precision,
    telegram_file_id    text,
    backend             text,
    backend_file        text,
    chat_id             bigint,
    user_id             bigint,
    message_id          bigint,
    media_group_id      text,
    created_at          timestamptz not null default now(),
    expires_at          timestamptz not null default now() + interval '24 hours'
);
create index artifacts_by_message on artifacts (chat_id, message_id);
create index artifacts_by_job on artifacts (job_id, position);
create index artifacts_expiry on artifacts (expires_at);

create table blobs (
    artifact_id bigint primary key references artifacts on delete cascade,
    content     bytea  not null
);
alter table blobs alter column content set storage external;

-- What a job works on, in order. With artifacts.parent_id this is the lineage of a result.
create table job_inputs (
    job_id      bigint   not null references jobs on delete cascade,
    position    smallint not null,
    artifact_id bigint   not null references artifacts on delete cascade,
    primary key (job_id, position)
);

-- Per chat and user: the last result, and what a dialogue in progress remembers.
create table sessions (
    chat_id          bigint      not null,
    user_id          bigint      not null,
    last_artifact_id bigint      references artifacts on delete set null,
    wizard           jsonb,
    updated_at       timestamptz not null default now(),
    primary key (chat_id, user_id)
);

-- One message (or album) owed to a chat.
create table deliveries (
    id          bigint      generated always as identity primary key,
    chat_id     bigint      not null,
    job_id      bigint      references jobs on delete cascade,
    kind        text        not null check (kind in ('notice', 'status', 'result', 'failure', 'original')),
    payload     jsonb       not null default '{}',
    state       text        not null default 'pending' check (state in
                    ('pending', 'sending', 'sent', 'unknown', 'failed', 'dropped')),
    attempts    smallint    not null default 0,
    run_at      timestamptz not null default now(),
    lease_until timestamptz,
    woken_at    timestamptz,
    message_ids bigint[]    not null default '{}',
    error       text,
    created_at  timestamptz not null default now(),
    ended_at    timestamptz
);
create index deliveries_pending on deliveries (run_at) where state = 'pending';
create index deliveries_sending on deliveries (lease_until) where state = 'sending';
create index deliveries_by_job on deliveries (job_id);
create unique index deliveries_once on deliveries (job_id, kind) where kind in ('status', 'result', 'failure');

-- Measured run times, a running mean per command variant and device.
create table durations (
    command     text             not null,
    variant     text             not null default '',
    device      text             not null,
    run_seconds double precision not null,
    runs        integer          not null default 1,
    primary key (command, variant, device)
);

-- The feed of what happened to jobs, for progress, pages and audits. Holds no prompt and no medium.
create table events (
    id     bigint      generated always as identity primary key,
    job_id bigint      references jobs on delete cascade,
    kind   text        not null,
    data   jsonb       not null default '{}',
    at     timestamptz not null default now()
);
create index events_by_job on events (job_id, id);
create index events_at on events (at);
