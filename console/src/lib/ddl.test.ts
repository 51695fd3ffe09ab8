import { describe, expect, it } from 'vitest'
import {
  addColumnSQL,
  addConstraintSQL,
  alterColumnSQL,
  alterTableSQL,
  asOne,
  createIndexSQL,
  createPolicySQL,
  createTableSQL,
  dropIndexSQL,
  dropSQL,
  dropTableSQL,
  plainColumn,
  plainDump,
} from './ddl'

const t = '"public"."or""ders"'

describe('statements that make and change tables', () => {
  it('makes a table', () => {
    const columns = [
      {
        ...plainColumn,
        name: 'id',
        type: 'bigint',
        key: true,
        required: true,
        default: 'GENERATED ALWAYS AS IDENTITY',
      },
      { ...plainColumn, name: 'a"b', required: true, default: "'x'" },
    ]
    expect(createTableSQL('public', 'or"ders', columns, "it's")).toBe(
      `CREATE TABLE ${t} (\n  "id" bigint GENERATED ALWAYS AS IDENTITY,\n  "a""b" text NOT NULL DEFAULT 'x',\n  PRIMARY KEY ("id")\n);\nCOMMENT ON TABLE ${t} IS 'it''s';`,
    )
    expect(createTableSQL('public', 'empty', [], '')).toBe('CREATE TABLE "public"."empty" ();')
  })
  it('adds a column', () => {
    expect(addColumnSQL(t, { ...plainColumn, name: 'n', type: 'int', required: true, default: '0' })).toBe(
      `ALTER TABLE ${t} ADD COLUMN "n" int NOT NULL DEFAULT 0;`,
    )
  })
  it('changes only what is different, the name last', () => {
    const is = { name: 'n', type: 'integer', required: false, default: '0', comment: '' }
    expect(alterColumnSQL(t, is, { ...is, using: '' })).toBe('')
    expect(
      alterColumnSQL(t, is, {
        name: 'm',
        type: 'text',
        required: true,
        default: "'1'",
        comment: 'c',
        using: 'n::text',
      }),
    ).toBe(
      [
        `ALTER TABLE ${t} ALTER COLUMN "n" DROP DEFAULT;`,
        `ALTER TABLE ${t} ALTER COLUMN "n" TYPE text USING n::text;`,
        `ALTER TABLE ${t} ALTER COLUMN "n" SET DEFAULT '1';`,
        `ALTER TABLE ${t} ALTER COLUMN "n" SET NOT NULL;`,
        `COMMENT ON COLUMN ${t}."n" IS 'c';`,
        `ALTER TABLE ${t} RENAME COLUMN "n" TO "m";`,
      ].join('\n'),
    )
  })
  it('adds constraints', () => {
    expect(addConstraintSQL(t, { kind: 'unique', name: 'u', columns: ['a', 'b'] })).toBe(
      `ALTER TABLE ${t} ADD CONSTRAINT "u" UNIQUE ("a", "b");`,
    )
    expect(addConstraintSQL(t, { kind: 'check', name: '', expression: 'a > 0' })).toBe(
      `ALTER TABLE ${t} ADD CHECK (a > 0);`,
    )
    expect(
      addConstraintSQL(t, {
        kind: 'foreign key',
        name: '',
        columns: ['a'],
        table: '"public"."p"',
        targets: ['id'],
        onDelete: 'CASCADE',
      }),
    ).toBe(`ALTER TABLE ${t} ADD FOREIGN KEY ("a") REFERENCES "public"."p" ("id") ON DELETE CASCADE;`)
  })
  it('makes indexes and policies', () => {
    expect(createIndexSQL(t, { name: '', columns: ['a'], unique: true, method: 'btree', where: 'a > 0' })).toBe(
      `CREATE UNIQUE INDEX ON ${t} ("a") WHERE a > 0;`,
    )
    expect(createIndexSQL(t, { name: 'i', columns: ['a'], unique: false, method: 'gin', where: '' })).toBe(
      `CREATE INDEX "i" ON ${t} USING gin ("a");`,
    )
    const policy = { name: 'p', command: 'insert', permissive: false, role: 'app', using: 'x', check: 'y' }
    expect(createPolicySQL(t, policy)).toBe(
      `CREATE POLICY "p" ON ${t} AS RESTRICTIVE FOR INSERT TO "app" WITH CHECK (y);`,
    )
  })
  it('drops and renames', () => {
    expect(dropSQL('column', t, 'a')).toBe(`ALTER TABLE ${t} DROP COLUMN "a";`)
    expect(dropSQL('policy', t, 'a')).toBe(`DROP POLICY "a" ON ${t};`)
    expect(dropIndexSQL('s', 'i')).toBe('DROP INDEX "s"."i";')
    expect(dropTableSQL('materialized view', t)).toBe(`DROP MATERIALIZED VIEW ${t};`)
    expect(dropTableSQL('partitioned table', t)).toBe(`DROP TABLE ${t};`)
    expect(alterTableSQL('table', 'public', { name: 'a', comment: 'x' }, { name: 'b', comment: '' })).toBe(
      'COMMENT ON TABLE "public"."a" IS NULL;\nALTER TABLE "public"."a" RENAME TO "b";',
    )
  })
  it('runs several as one', () => {
    expect(asOne('A;')).toBe('A;')
    expect(asOne('A;\nB;')).toBe('BEGIN;\nA;\nB;\nCOMMIT;')
  })
  it('leaves out what is around the statements of a dump', () => {
    const dump = `--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\nSET statement_timeout = 0;\nSELECT pg_catalog.set_config('search_path', '', false);\n\nSET default_table_access_method = heap;\n\n--\n-- Name: t\n--\n\nCREATE TABLE public.t (\n    id integer\n);\n\n\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict x\n`
    expect(plainDump(dump)).toBe('CREATE TABLE public.t (\n    id integer\n);')
  })
})
