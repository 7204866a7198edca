-- The order of the queue: who waits with a smaller rank goes first, within one bucket (a command with its variant).
-- rank_at: when the job may start, later by a fixed time for each job that its user had open already, so that users
-- take turns. is_due: whether run_at has come; a job for later is not in the scheduler's sight.
alter table jobs
    add column bucket           text generated always as (command || coalesce(' --' || variant, '')) stored,
    add column rank_at          timestamptz not null default now(),
    add column is_due           boolean     not null default true,
    add column size_class       text        not null default '',
    add column unique_key       text,
    add column recall_requested boolean     not null default false,
    add column recalls          smallint    not null default 0,
    add column expected_at      timestamptz,
    add column promised_at      timestamptz,
    add column began_at         timestamptz,
    add column is_cold          boolean     not null default false;
create index jobs_waiting on jobs (bucket, rank_at, id) where state = 'queued' and is_due;
create index jobs_for_later on jobs (run_at) where state = 'queued' and not is_due;
create index jobs_held on jobs (backend) where state in ('placed', 'running');
create index jobs_open_of_user on jobs (user_id) where state in ('queued', 'placed', 'running');
create unique index jobs_unique on jobs (unique_key)
    where unique_key is not null and state in ('queued', 'placed', 'running');

-- What a try took: whether the backend had the job's weights loaded, the seconds of its load and of its run.
alter table attempts
    add column was_warm     boolean,
    add column load_seconds double precision,
    add column run_seconds  double precision;

-- Measured run times: running means per command with variant, device and size class; weights per model set and device.
create table run_times (
    bucket     text             not null,
    device     text             not null,
    size_class text             not null,
    seconds    double precision not null,
    runs       integer          not null default 1,
    primary key (bucket, device, size_class)
);
create table load_times (
    model_set text             not null,
    device    text             not null,
    seconds   double precision not null,
    loads     integer          not null default 1,
    primary key (model_set, device)
);
insert into run_times (bucket, device, size_class, seconds, runs)
    select command || case variant when '' then '' else ' --' || variant end, device, '', run_seconds, runs
    from durations;

-- An operator's drain outlasts every check. released_at: when an idle backend was told to let go of its weights.
alter table backends
    add column drained_at   timestamptz,
    add column drain_reason text,
    add column released_at  timestamptz,
    add column used_at      timestamptz;

-- How each machine sees each backend. A backend is away when no machine reaches it.
create table backend_views (
    backend    text        not null references backends on delete cascade,
    machine    text        not null,
    health     text        not null check (health in ('ready', 'away')),
    reason     text,
    checked_at timestamptz not null default now(),
    primary key (backend, machine)
);

-- A command that failed again and again on one backend is kept away from it for a while, then tried with one job.
create table breakers (
    backend   text        not null references backends on delete cascade,
    bucket    text        not null,
    failures  smallint    not null,
    opened_at timestamptz,
    retry_at  timestamptz,
    error     text,
    primary key (backend, bucket)
);

-- How often it was opened since the command last worked there, and when it failed last. What GET /system_stats tells of
-- the cards, and in words what does not fit the registry.
alter table breakers add column openings smallint not null default 0, add column failed_at timestamptz not null default now();
alter table backends add column devices jsonb not null default '[]', add column doubt text;

-- input_count: of how many media the job was asked for, which expire before it may. is_hook_owed: it ended with no worker
-- at hand, and its plugins have not been told of it yet.
alter table jobs
    add column input_count  smallint not null default 0,
    add column is_hook_owed boolean  not null default false;
create index jobs_hook_owed on jobs (id) where is_hook_owed;

-- Since when a backend has held the weights it holds. Null: not known.
alter table backends add column warm_since timestamptz;

-- recent: the newest runs and loads themselves, `seconds` is their mean without the longest and the shortest. runs = 0:
-- estimated from a run that loaded weights as well.
alter table run_times add column recent double precision[] not null default '{}';
alter table load_times add column recent double precision[] not null default '{}';

-- What tries took and promises were worth, counted once each, for metrics. le: upper bound of a histogram's bucket.
alter table attempts add column is_tallied boolean not null default false;
create index attempts_untallied on attempts (ended_at) where ended_at is not null and not is_tallied;
create table tallies (
    metric text             not null,
    labels text[]           not null,
    le     double precision not null,
    count  bigint           not null,
    total  double precision not null,
    primary key (metric, labels, le)
);
