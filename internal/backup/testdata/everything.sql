-- A database with everything that a backup must carry. Runs on PostgreSQL 15 and newer.
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
CREATE SCHEMA "Odd Schema";

CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE TYPE pair AS (a integer, "B c" text);
CREATE DOMAIN positive AS bigint CHECK (VALUE > 0);
CREATE DOMAIN small_list AS integer[] CHECK (cardinality(VALUE) < 5);
CREATE TYPE span AS RANGE (subtype = timestamptz, multirange_type_name = spans);

CREATE TABLE every_type (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    c_bool boolean, c_int2 smallint, c_int4 integer, c_int8 bigint, c_oid oid,
    c_numeric numeric, c_numeric_scale numeric(30, 10), c_money money,
    c_float4 real, c_float8 double precision,
    c_text text, c_varchar varchar(20), c_char char(5), c_qchar "char", c_name name, c_citext citext,
    c_bytea bytea,
    c_date date, c_time time, c_timetz timetz, c_timestamp timestamp, c_timestamptz timestamptz, c_interval interval,
    c_uuid uuid, c_json json, c_jsonb jsonb, c_jsonpath jsonpath, c_xml xml,
    c_inet inet, c_cidr cidr, c_macaddr macaddr, c_macaddr8 macaddr8,
    c_bit bit(5), c_varbit bit varying,
    c_point point, c_line line, c_lseg lseg, c_box box, c_path path, c_polygon polygon, c_circle circle,
    c_tsvector tsvector, c_tsquery tsquery, c_lsn pg_lsn, c_snapshot pg_snapshot, c_xid8 xid8, c_tid tid,
    c_regclass regclass, c_regtype regtype,
    c_int4range int4range, c_numrange numrange, c_tsrange tsrange, c_tstzrange tstzrange, c_daterange daterange, c_int8multirange int8multirange,
    c_span span, c_spans spans,
    c_mood mood, c_pair pair, c_positive positive, c_list small_list, c_hstore hstore,
    c_ints integer[], c_texts text[], c_matrix integer[], c_bounds integer[], c_byteas bytea[], c_times timestamptz[], c_bools boolean[], c_jsons jsonb[],
    c_boxes box[], c_pairs pair[], c_moods mood[], c_lists small_list[], c_floats double precision[], c_numerics numeric[], c_hstores hstore[],
    c_generated text GENERATED ALWAYS AS (upper(c_text)) STORED
);
INSERT INTO every_type (c_bool) VALUES (NULL);
INSERT INTO every_type (c_bool, c_int2, c_int4, c_int8, c_oid, c_numeric, c_numeric_scale, c_money, c_float4, c_float8, c_text, c_varchar, c_char, c_qchar, c_name, c_citext, c_bytea,
    c_date, c_time, c_timetz, c_timestamp, c_timestamptz, c_interval, c_uuid, c_json, c_jsonb, c_jsonpath, c_xml, c_inet, c_cidr, c_macaddr, c_macaddr8, c_bit, c_varbit,
    c_point, c_line, c_lseg, c_box, c_path, c_polygon, c_circle, c_tsvector, c_tsquery, c_lsn, c_snapshot, c_xid8, c_tid, c_regclass, c_regtype,
    c_int4range, c_numrange, c_tsrange, c_tstzrange, c_daterange, c_int8multirange, c_span, c_spans, c_mood, c_pair, c_positive, c_list, c_hstore,
    c_ints, c_texts, c_matrix, c_bounds, c_byteas, c_times, c_bools, c_jsons, c_boxes, c_pairs, c_moods, c_lists, c_floats, c_numerics, c_hstores)
VALUES
 (true, -32768, 2147483647, 9223372036854775807, 4294967295, 'NaN', -12345678901234567890.0123456789, -92233720368547758.08, 'NaN', 'Infinity',
  '', '', '', '', '', '', '', '-infinity', '24:00:00', '00:00:00+15:59', 'infinity', '-infinity', '-1 mons +2 days -03:04:05.678901', '00000000-0000-0000-0000-000000000000',
  ' { "b":1, "a" : 2, "a":3 } ', '12345678901234567890.123456789012345678901234567890', '$."a"[*] ? (@ > 1)', '<a b="c">&amp;</a>', '10.1.2.3/8', '10.0.0.0/8', '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', B'10101', B'',
  '(NaN,-0)', '{1,2,3}', '[(1,2),(3,4)]', '(1,2),(3,4)', '((1,2),(3,4))', '((1,2),(3,4),(5,6))', '<(1,2),3>', '''a b'':1A c:2', '''x y'' & !z:*', '16/B374D848', '10:20:10,14,15', '18446744073709551615', '(1,2)', 'pg_class', 'integer',
  'empty', '(,1.5]', '[2020-01-01 00:00:00.000001,)', '[2020-01-01 00:00:00+02,infinity)', '[2020-01-01,2020-02-01)', '{[1,3),[5,7)}', '[2020-01-01,2021-01-01)', '{}', 'it''s "fine"', ROW(NULL, 'a "quoted", \ text'), 1, '{1,2}', '"a b"=>"c\"d", e=>NULL',
  '{1,NULL,3}', ARRAY['', 'NULL', NULL, 'a"b\c', '{x,y}', E'line\nbreak\ttab'], '{{1,2},{3,4}}', '[0:1]={5,6}', ARRAY['\x00ff'::bytea, ''::bytea, NULL], ARRAY['2020-02-29 12:34:56.789012+05:30'::timestamptz, 'infinity', NULL],
  '{t,f,NULL}', ARRAY['{"a": 1e400}'::jsonb, 'null', NULL, '"\u00e9 \\"'], '{(3,4),(1,2);(5,6),(0,0)}', ARRAY[ROW(1, 'x,y')::pair, NULL, ROW(NULL, NULL)::pair], '{sad,"it''s \"fine\""}', '{"{1}","{2,3}"}', '{NaN,-0,1e-300,Infinity}', '{NaN,0.10,1e50}', ARRAY['a=>1'::hstore, '']),
 (false, 32767, -2147483648, -9223372036854775808, 0, 1e131071, 0.0000000001, 0, 1.17549435e-38, -0.0,
  E'quote " apostrophe '' backslash \\ tab \t newline \n return \r vertical \u000B bell \u0007 del \u007F snow ☃ pile 💩 zero-width \u200B line \u2028 end', E'\\.', 'ab   ', 'x', 'a name', 'MiXeD', '\x000102fffe5c0a0d22',
  '4713-01-01 BC', '23:59:59.999999', '23:59:59.999999-15:59', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999+00', '178000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff',
  'null', 'null', 'strict $', '<!-- c -->text', '::1', '::/0', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00:00:00', B'00000', B'1',
  '(1e300,Infinity)', '{1,-1,0}', '[(0,0),(0,0)]', '(0,0),(0,0)', '[(1,2),(3,4)]', '((0,0))', '<(0,0),0>', '', '', '0/0', '1:1:', '0', '(0,0)', 'public.every_type', 'text[]',
  '[1,5)', 'empty', 'empty', '(,)', '(,2020-01-01)', '{}', 'empty', '{[2020-01-01,2021-01-01)}', 'ok', ROW(1, '')::pair, 9223372036854775807, '{}', '',
  '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}'),
 (NULL, 0, 0, 9007199254740993, 1, 0.1000, 1, 1.5, 1e38, 5e-324,
  E'\\N', E'\\N', 'NULL', 'N', 'NULL', 'null', '\x5c4e', '0044-03-15 BC', '00:00', '12:00+00', '0001-01-01 00:00:00.1', '0044-03-15 12:00:00+00 BC', '-178000000 years',
  '12345678-1234-5678-1234-567812345678', '[1, 2.50, 1E5, "\u0001"]', '{"k": [1, 2.50, 1E5, -0, 123456789012345678901234567890], "": null, "\u00e9": "\"\\"}', '$', '', '1.2.3.4', '1.2.3.4/32', '00:00:00:00:00:00', '00:00:00:ff:fe:00:00:00', B'11111', B'0000000001',
  '(0.1,0.2)', '{0,1,0}', '[(-1,-2),(-3,-4)]', '(1e10,1),(0,0)', '((1,1),(2,2),(3,3))', '((0,0),(1,1))', '<(1,1),Infinity>', 'a:1,2,3', 'a <-> b', 'FFFFFFFF/FFFFFFFF', '1:1:', '1', '(4294967295,65535)', NULL, 'mood',
  '[,]', '[1,1]', '[-infinity,infinity]', '["0001-01-01 00:00:00+00","9999-12-31 23:59:59.999999+00"]', 'empty', '{(,)}', NULL, NULL, 'sad', NULL, NULL, NULL, NULL,
  '{{{1}}}', '{""}', '{{NULL}}', '[2:3][-1:0]={{1,2},{3,4}}', ARRAY['\x22'::bytea], '{"0044-03-15 12:00:00+00 BC"}', '{{t},{f}}', ARRAY['[]'::jsonb], NULL, ARRAY[ROW(NULL, '"')::pair], NULL, NULL, '{0.1}', '{9007199254740993}', NULL);

CREATE TABLE text_cases (only_column text);
INSERT INTO text_cases VALUES (''), (NULL), (E'\\.'), (E'\\N'), ('NULL'), ('"'), ('""'), (','), (E'\n'), (E'\r\n'), (' '), (E'a\n\\.\nb'), ('-- PostgreSQL database dump complete'), (E'\\! id'), ('; DROP'), ('$$'), (repeat('x', 300000));

CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES; INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE only_generated (g integer GENERATED ALWAYS AS (1 + 1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
CREATE TABLE was_wider (gone integer, kept text, gone_too integer, last integer);
INSERT INTO was_wider VALUES (1, 'a', 2, 3);
ALTER TABLE was_wider DROP COLUMN gone, DROP COLUMN gone_too;

CREATE TABLE "Odd Schema"."Tab""le; --" ("select" integer, "a.b" text, "ü, )" text, PRIMARY KEY ("select"));
INSERT INTO "Odd Schema"."Tab""le; --" VALUES (1, 'x', 'y');

-- Identity and serial columns, and sequences that stand in odd places.
CREATE TABLE with_identity (id integer GENERATED BY DEFAULT AS IDENTITY (START 1000 INCREMENT -7 MAXVALUE 5000 MINVALUE -5000), v text);
INSERT INTO with_identity (v) SELECT 'v' || g FROM generate_series(1, 5) g;
CREATE TABLE with_serial (id serial PRIMARY KEY, v text);
INSERT INTO with_serial (v) VALUES ('a'), ('b');
SELECT setval('with_serial_id_seq', 900, false);
CREATE SEQUENCE lonely MINVALUE -9223372036854775808 START -9223372036854775808;
CREATE SEQUENCE used INCREMENT 5; SELECT nextval('used'), nextval('used');

-- Partitions of partitions, and inheritance.
CREATE TABLE events (at timestamptz NOT NULL, kind text NOT NULL, n bigint, PRIMARY KEY (at, kind)) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (kind);
CREATE TABLE events_2025_a PARTITION OF events_2025 FOR VALUES IN ('a');
CREATE TABLE events_2025_rest PARTITION OF events_2025 DEFAULT;
CREATE TABLE events_default PARTITION OF events DEFAULT;
INSERT INTO events SELECT timestamptz '2024-06-01 00:00+00' + g * interval '10 days', chr(97 + g % 3), g FROM generate_series(1, 90) g;
CREATE TABLE animal (id integer PRIMARY KEY, name text);
CREATE TABLE dog (barks boolean) INHERITS (animal);
INSERT INTO animal VALUES (1, 'any'); INSERT INTO dog VALUES (2, 'rex', true), (3, 'dot', NULL);

-- Foreign keys in a circle, to itself, and over two columns.
CREATE TABLE department (id integer PRIMARY KEY, head integer);
CREATE TABLE employee (id integer PRIMARY KEY, department integer NOT NULL REFERENCES department, boss integer REFERENCES employee);
ALTER TABLE department ADD CONSTRAINT department_head FOREIGN KEY (head) REFERENCES employee;
BEGIN; ALTER TABLE department ALTER CONSTRAINT department_head DEFERRABLE INITIALLY DEFERRED;
INSERT INTO department VALUES (1, 12), (2, NULL); INSERT INTO employee VALUES (12, 1, NULL), (11, 1, 12), (13, 2, 12);
SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE department ALTER CONSTRAINT department_head NOT DEFERRABLE; COMMIT;

-- Views on views, filled and empty.
CREATE VIEW plain_view AS SELECT kind, count(*) AS n FROM events GROUP BY kind;
CREATE MATERIALIZED VIEW z_first AS SELECT kind, n FROM plain_view;
CREATE VIEW between_them AS SELECT * FROM z_first;
CREATE MATERIALIZED VIEW a_second AS SELECT sum(n) AS total FROM between_them;
CREATE UNIQUE INDEX ON z_first (kind);
CREATE MATERIALIZED VIEW never_filled AS SELECT 1 AS one WITH NO DATA;

-- Row-level security, also for the owner.
CREATE TABLE secret (id integer PRIMARY KEY, owner_name text);
INSERT INTO secret VALUES (1, 'me'), (2, 'you');
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
ALTER TABLE secret FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON secret USING (owner_name = 'me');

-- Functions of every shape, a trigger that would change rows when it fired again, a rule with two statements.
CREATE FUNCTION dollar(text) RETURNS text LANGUAGE plpgsql AS $outer$
BEGIN
  -- SET nonsense = 1;
  EXECUTE $inner$ SELECT 'COPY x FROM stdin;' $inner$;
  RETURN $1 || '\' || $q$;$q$;
END $outer$;
CREATE FUNCTION sql_body(i integer) RETURNS integer LANGUAGE sql
BEGIN ATOMIC
  SELECT CASE WHEN i > 0 THEN i ELSE -i END;
  SELECT i + 1;
END;
CREATE PROCEDURE "begin"(x integer) LANGUAGE sql BEGIN ATOMIC INSERT INTO no_columns DEFAULT VALUES; END;
CREATE TABLE stamped (id integer PRIMARY KEY, n integer DEFAULT 0);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END';
INSERT INTO stamped VALUES (1, 5);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE RULE two AS ON DELETE TO no_columns DO ALSO (NOTIFY a; NOTIFY b);
CREATE UNLOGGED TABLE unlogged_table (a integer); INSERT INTO unlogged_table VALUES (1);
CREATE INDEX on_lower ON text_cases (lower(left(only_column, 10))) WHERE only_column <> E'it''s \\ odd';
COMMENT ON TABLE text_cases IS E'a comment; with ''quotes''\n-- and lines';
ALTER TABLE every_type ADD CONSTRAINT not_both CHECK (NOT (c_bool AND c_int2 > 40000)) NOT VALID;
CREATE PUBLICATION some_tables FOR TABLE text_cases;
ALTER TABLE text_cases REPLICA IDENTITY FULL;

SELECT lo_from_bytea(900001, decode('00ff5c0a', 'hex')), lo_create(900002), lo_from_bytea(900003, convert_to(repeat('large object ', 200000), 'UTF8'));
COMMENT ON LARGE OBJECT 900001 IS 'it''s large';
