import { describe, expect, it } from 'vitest'
import { changeSQL, pageSQL, saveSQL, type Table, undoSQL } from './table-sql'

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
}
const heap: Table = { ...people, key: [] }

describe('a page', () => {
  it('begins behind the last row by key, or by place where there is none', () => {
    expect(pageSQL(people, [], null, ['7'], 200)).toContain(`WHERE ("id") > ('7')\nORDER BY "id"`)
    expect(pageSQL(heap, [], null, ['(0,9)'], 200)).toContain(`WHERE (ctid) > ('(0,9)'::tid)\nORDER BY ctid`)
    expect(pageSQL({ ...heap, kind: 'v' }, [], null, [], 200)).toContain('OFFSET 200')
  })
  it('loses no row to NULL when it is sorted', () => {
    const up = { column: 'name', down: false }
    expect(pageSQL(people, [], up, ['7', 'x'], 200)).toContain(
      `("name" > 'x' OR "name" = 'x' AND ("id") > ('7') OR "name" IS NULL)`,
    )
    expect(pageSQL(people, [], up, ['7', null], 200)).toContain(`WHERE "name" IS NULL AND ("id") > ('7')`)
    expect(pageSQL(people, [], { ...up, down: true }, ['7', null], 200)).toContain('OR "name" IS NOT NULL)')
  })
  it('takes the marks of a pattern as they are', () => {
    const text = pageSQL(people, [{ column: 'name', operator: 'contains', value: "5%'" }], null, null, 0)
    expect(text).toContain(`"name"::text ILIKE E'%5\\\\%''%'`)
  })
})

describe('a change', () => {
  it('touches its row only as it was read', () => {
    expect(changeSQL(people, { kind: 'update', row: ['1', null], set: { name: "O'Hara" } })).toBe(
      `UPDATE "public"."peo""ple" SET "name" = 'O''Hara' WHERE "id" = '1' AND "name"::text IS NOT DISTINCT FROM NULL`,
    )
  })
  it('cannot leave its block', () => {
    expect(saveSQL(people, [{ kind: 'insert', set: { name: '$save$; DROP TABLE x' } }])).toMatch(
      /^DO \$save1\$[\s\S]*\$save1\$$/,
    )
  })
  it('can be taken back, the last one first', () => {
    const undo = undoSQL(people, [
      { kind: 'update', row: ['1', 'a'], set: { name: 'b' } },
      { kind: 'delete', row: ['2', 'c'] },
    ])
    expect(undo.indexOf(`VALUES ('2', 'c')`)).toBeLessThan(
      undo.indexOf(`SET "name" = 'a' WHERE "id" = '1' AND "name"::text IS NOT DISTINCT FROM 'b'`),
    )
    expect(undo.indexOf(`VALUES ('2', 'c')`)).toBeGreaterThan(0)
  })
})
