import { describe, expect, it } from 'vitest'
import { moment } from './format'
import { type Events, exactly, fieldOf, lookOf, marksOf, viewOf } from './moments'

const hour = 3600_000

describe('the part of a history that is drawn', () => {
  it.each([
    ['all of it', 0, 5 * hour, [0, 10 * hour]],
    ['all of it where there is less', 86400, 5 * hour, [0, 10 * hour]],
    ['around the chosen moment', 7200, 5 * hour, [4 * hour, 6 * hour]],
    ['not before its beginning', 7200, 0, [0, 2 * hour]],
    ['not beyond its end', 7200, 10 * hour, [8 * hour, 10 * hour]],
  ])('is %s', (_, span, middle, [from, to]) => expect(viewOf(0, 10 * hour, span, middle)).toEqual({ from, to }))
})

describe('a moment that is written out', () => {
  it.each([
    ['2026-11-21 14:03:09 +01:00', '2026-11-21T13:03:09.000Z'],
    ['2026-11-21 14:03:09-03', '2026-11-21T17:03:09.000Z'],
    ['2026-11-21 14:03:09 +05:45', '2026-11-21T08:18:09.000Z'],
  ])('%s is read', (text, iso) => expect(exactly(text)?.toISOString()).toBe(iso))
  it.each(['10 minutes ago', 'checkpoint:x', '2026-11-21 14:03', '2026-13-41 14:03:09 +01:00'])('%s is not', (text) =>
    expect(exactly(text)).toBeNull(),
  )
  it('survives the field', () => {
    const at = new Date('2026-11-21T13:03:09Z')
    expect(exactly(moment(at))).toEqual(at)
    expect(new Date(fieldOf(at))).toEqual(at)
  })
})

describe('a look', () => {
  it('says what it shows', () =>
    expect(lookOf('production_at_20261121_130309_1a2b')).toEqual({
      parent: 'production',
      at: new Date('2026-11-21T13:03:09Z'),
    }))
  it('is told from other branches', () => expect(lookOf('try_at_home')).toBeNull())
})

describe('what happened', () => {
  const events = {
    history: { bases: [{ id: 'b', at: '2026-11-20T10:00:00Z', incremental: false }] },
    points: [{ id: 'c', at: '2026-11-20T12:00:00Z', label: '', reason: 'before_publish' }],
    publishes: [
      { number: 2, started_at: '2026-11-20T12:00:01Z', checkpoint: 'c' },
      { number: 3 }, // planned only
    ],
    backups: [
      { id: 'x', name: 'backup_x', status: 'completed', snapshot_at: '2026-11-20T11:00:00Z' },
      { id: 'y', name: 'backup_y', status: 'failed', snapshot_at: '2026-11-20T11:30:00Z' },
    ],
  } as unknown as Events
  it('is told newest first, a publish as the moment before it', () =>
    expect(marksOf(events).map((m) => [m.kind, m.name, m.choose])).toEqual([
      ['publish', 'Publish 2', 'checkpoint:c'],
      ['checkpoint', 'Before publish', 'checkpoint:c'],
      ['backup', 'backup_x', moment(new Date('2026-11-20T11:00:00Z'))],
      ['base', 'Base backup', moment(new Date('2026-11-20T10:00:00Z'))],
    ]))
})
