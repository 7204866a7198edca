-- How long one small request to the backend took at the last check, on a connection that was open. Null: not known.
alter table backends add column round_trip_seconds double precision;
