-- How the spans of a job go on with its trace, in the form of W3C Trace Context. Null: it is not traced.
alter table jobs add column traceparent text;
