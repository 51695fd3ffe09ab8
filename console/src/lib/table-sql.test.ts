import { describe, expect, it } from 'vitest'
import { editsOf, exportSQL, pageSQL, peekSQL, type Table } from './table-sql'

const column = (name: string, type = 'text') => ({
  name,
  type,
  required: false,
  generated: false,
  default: false,
  choices: null,
})
const people: Table = {
  schema: 'public',
  name: 'peo"ple',
  kind: 'r',
  estimate: 2,
  columns: [column('id', 'bigint'), column('name')],
  key: ['id'],
  links: [],
}
const heap: Table = { ...people, key: [] }

describe('a page', () => {
  it('begins behind the last row by key, or by place where there is none', () => {
    expect(pageSQL(people, [], [], ['7'], 200)).toContain(`WHERE ("id") > ('7')\nORDER BY "id"`)
    expect(pageSQL(heap, [], [], ['(0,9)'], 200)).toContain(`WHERE (ctid) > ('(0,9)'::tid)\nORDER BY ctid`)
    expect(pageSQL({ ...heap, kind: 'v' }, [], [], [], 200)).toContain('OFFSET 200')
  })
  it('loses no row to NULL when it is sorted', () => {
    const up = { column: 'name', down: false }
    expect(pageSQL(people, [], [up], ['7', 'x'], 200)).toContain(
      `("name" > 'x' OR "name" = 'x' AND ("id") > ('7') OR "name" IS NULL)`,
    )
    expect(pageSQL(people, [], [up], ['7', null], 200)).toContain(`WHERE "name" IS NULL AND ("id") > ('7')`)
    expect(pageSQL(people, [], [{ ...up, down: true }], ['7', null], 200)).toContain('OR "name" IS NOT NULL)')
  })
  it('goes on behind the last row in the order of several columns', () => {
    const sorts = [
      { column: 'name', down: true },
      { column: 'id', down: false },
    ]
    const text = pageSQL(people, [], sorts, ['7', 'x', '7'], 200)
    expect(text).toContain(
      `("name" < 'x' OR "name" = 'x' AND ("id" > '7' OR "id" = '7' AND ("id") > ('7') OR "id" IS NULL))`,
    )
    expect(text).toContain('ORDER BY "name" DESC, "id" ASC, "id"')
  })
  it('takes the marks of a pattern as they are', () => {
    const text = pageSQL(people, [{ column: 'name', operator: 'contains', value: "5%'" }], [], null, 0)
    expect(text).toContain(`"name"::text ILIKE E'%5\\\\%''%'`)
  })
})

describe('filters', () => {
  const where = (operator: '=' | 'in' | 'begins' | 'not contains', value: string) =>
    /WHERE (.*)/.exec(pageSQL(people, [{ column: 'name', operator, value }], [], null, 0))?.[1]
  it('compare with values, never with SQL', () => {
    expect(where('=', "a' OR '1'='1")).toBe(`"name" = 'a'' OR ''1''=''1'`)
    expect(where('in', "a, b'c")).toBe(`"name" IN ('a', 'b''c')`)
    expect(where('begins', '5%')).toBe(`"name"::text ILIKE E'5\\\\%%'`)
    expect(where('not contains', 'x')).toBe(`("name"::text NOT ILIKE '%x%' OR "name" IS NULL)`)
  })
})

describe('an export', () => {
  it('names the rows by their key, or by where they lie', () => {
    expect(exportSQL(people, ['name'], [], [], [['1'], ['2']])).toContain(
      `SELECT "name"\nFROM "public"."peo""ple"\nWHERE ("id") IN (('1'), ('2'))`,
    )
    expect(exportSQL(heap, ['name'], [], [], [['(0,1)']])).toContain(`WHERE (ctid) IN (('(0,1)'::tid))`)
  })
})

describe('a change', () => {
  const long = 'x'.repeat(20_000)
  it('tells the row as it was read, but for what is long and stays', () => {
    const [edit] = editsOf(people, [{ kind: 'update', row: ['1', long], set: { id: '2' } }])
    expect(edit).toEqual({ kind: 'update', table: '"public"."peo""ple"', old: { id: '1' }, set: { id: '2' } })
    const [changed] = editsOf(people, [{ kind: 'update', row: ['1', long], set: { name: null } }])
    expect(changed?.old).toEqual({ id: '1', name: long })
  })
  it('tells everything where there is no key', () => {
    const [edit] = editsOf(heap, [{ kind: 'delete', row: ['1', long] }])
    expect(edit).toEqual({ kind: 'delete', table: '"public"."peo""ple"', old: { id: '1', name: long } })
  })
})

describe('a foreign key', () => {
  it('is looked up by its values', () => {
    const link = { columns: ['a', 'b'], schema: 's', table: 't"', targets: ['x', 'y'] }
    expect(peekSQL(link, ['1', null])).toBe(`SELECT * FROM "s"."t""" WHERE "x" = '1' AND "y" = NULL LIMIT 1`)
  })
})
