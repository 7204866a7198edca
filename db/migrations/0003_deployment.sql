-- One row: who this deployment is, by a random name that it gives itself.
create table deployment (
    only_row boolean primary key default true check (only_row),
    id       uuid    not null default gen_random_uuid()
);
insert into deployment default values;
