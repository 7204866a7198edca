# ruff: noqa: E501
"""Statements of the release before, which its processes go on sending while this one is rolled out. Not to be edited."""

INSERT = """
    with fresh as materialized (
        select now() + make_interval(secs => %(delay_seconds)s) as run_at,
               make_interval(secs => %(turn_seconds)s) as turn),
    beside as materialized (
        select id, state, priority, rank_at from jobs, fresh
        where user_id = %(user_id)s and state in ('queued', 'placed', 'running')
          and jobs.run_at <= fresh.run_at + turn and greatest(rank_at, now()) >= fresh.run_at - turn),
    own as materialized (
        select run_at, run_at + turn * (select count(*) from beside)
            - make_interval(secs => %(priority)s * %(priority_seconds)s) as rank_at from fresh),
    passed as materialized (
        select id, rank_at from jobs
        where id in (select beside.id from beside, own
                     where state = 'queued' and priority < %(priority)s and beside.rank_at < own.rank_at)
          and state = 'queued'
        for update skip locked),
    inserted as (
        insert into jobs (command_id, command, variant, arguments, model_set, size_class, max_attempts, chat_id,
                          user_id, message_id, thread_id, media_group_id, language, dedupe_key, unique_key, priority,
                          input_count, run_at, is_due, rank_at)
        select %(command_id)s, %(command)s, %(variant)s, %(arguments)s, %(model_set)s, %(size_class)s,
            %(max_attempts)s, %(chat_id)s, %(user_id)s, %(message_id)s, %(thread_id)s, %(media_group_id)s,
            %(language)s, %(dedupe_key)s, %(unique_key)s, %(priority)s, %(input_count)s, run_at,
            %(delay_seconds)s <= 0, least(rank_at, (select min(rank_at) from passed))
        from own
        on conflict do nothing
        returning id),
    pushed as (
        update jobs set rank_at = next.rank_at
        from (select passed.id,
                  lead(passed.rank_at, 1, own.rank_at) over (order by passed.rank_at, passed.id) as rank_at
              from passed, own) as next, inserted
        where jobs.id = next.id)
    select id from inserted
"""

CLAIM = """
    with claimed as (
        update jobs set state = 'running', attempt = attempt + 1, fence = fence + 1, lease_owner = %(owner)s,
            lease_until = now() + make_interval(secs => %(seconds)s), started_at = coalesce(started_at, now()),
            prompt_id = coalesce(prompt_id, %(prompt_id)s),
            command_id = coalesce((%(versions)s ->> command)::bigint, command_id)
        where id = (select id from jobs where id = %(job_id)s and state = 'placed' and fence = %(fence)s
                    for update skip locked)
        returning id, state, command_id, command, variant, arguments, model_set, chat_id, user_id, message_id, thread_id,
    media_group_id, language, priority, run_at, extract(epoch from run_at - now())::float8 as due_seconds, rank_at,
    expected_at, extract(epoch from expected_at - now())::float8 as expected_seconds, promised_at,
    attempt, max_attempts, fence, cancel_requested, backend, placement,
    prompt_id, progress, error, error_detail, status_message_id, created_at, placed_at, started_at, ended_at,
    recall_requested),
    opened as (
        insert into attempts (job_id, number, fence, command_id, backend, prompt_id, worker)
        select id, attempt, fence, command_id, backend, prompt_id, %(owner)s from claimed)
    select id, state, command_id, command, variant, arguments, model_set, chat_id, user_id, message_id, thread_id,
    media_group_id, language, priority, run_at, extract(epoch from run_at - now())::float8 as due_seconds, rank_at,
    expected_at, extract(epoch from expected_at - now())::float8 as expected_seconds, promised_at,
    attempt, max_attempts, fence, cancel_requested, backend, placement,
    prompt_id, progress, error, error_detail, status_message_id, created_at, placed_at, started_at, ended_at,
    recall_requested from claimed
"""

END = """
    with released as (
        update jobs set state = %(outcome)s, error = %(error)s, error_detail = %(detail)s, ended_at = now(),
            lease_owner = null, lease_until = null, progress = null, recall_requested = false
        where id = %(job_id)s and fence = %(fence)s and lease_owner = %(owner)s and state = 'running' and lease_until > now() returning id, state),
    freed as (update slots set job_id = null from released where slots.job_id = released.id),
    closed as (update attempts set ended_at = now(), outcome = %(outcome)s, error = %(error)s
               from released where attempts.job_id = released.id and attempts.fence = %(fence)s)
    select state from released

"""
