import { describe, expect, it } from 'vitest'
import { ComparisonReader, type RescueChange } from '@/api/rescue'
import { differences, scriptOf } from './rescue'

const columns = ['id', 'name', 'note']

const row = (json: string) => JSON.parse(json) as RescueChange

describe('what a repair does to a row', () => {
  it('tells of a changed one what differs, now and then', () =>
    expect(
      differences(columns, row('{"kind":"changed","key":["1"],"then":["1","a",null],"now":["1","b","x"]}')),
    ).toEqual([
      { column: 'name', text: 'b → a' },
      { column: 'note', text: 'x → NULL' },
    ]))
  it('tells of a deleted one what comes back', () =>
    expect(differences(columns, row('{"kind":"deleted","key":["1"],"then":["1","a",null]}'))[1]?.text).toBe('a'))
  it('tells of an added one what goes', () =>
    expect(differences(columns, row('{"kind":"added","key":["1"],"now":["1","new",null]}'))[1]?.text).toBe('new'))
})

describe('a comparison', () => {
  const table = { name: 'public.t', columns, key: ['id'], preamble: 'SET LOCAL x = 1;' }
  it('is read line by line', () => {
    const reader = new ComparisonReader()
    reader.line(JSON.stringify({ table }))
    reader.line(JSON.stringify({ change: { kind: 'added', key: ['1'], now: ['1', 'n', null], sql: 'DELETE FROM t' } }))
    reader.line(JSON.stringify({ end: { deleted: 0, changed: 0, added: 1 } }))
    const result = reader.result()
    expect(result.end.added).toBe(1)
    expect(scriptOf(result)).toBe('BEGIN;\nSET LOCAL x = 1;\nDELETE FROM t;\nCOMMIT;')
  })
  it('that is cut off is no answer', () => {
    const reader = new ComparisonReader()
    reader.line(JSON.stringify({ table }))
    expect(() => reader.result()).toThrow('cut off')
  })
  it('tells why it was ended', () =>
    expect(() =>
      new ComparisonReader().line(JSON.stringify({ problem: { code: 'conflict', detail: 'no key' } })),
    ).toThrow('no key'))
})
