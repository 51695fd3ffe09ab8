import { describe, expect, it } from 'vitest'
import { ago, bytes, count, countdown, duration, moment, words } from './format'

describe('bytes', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [31_900_000, '31.9 MB'],
    [999_960, '1.0 MB'],
    [123_456_789, '123 MB'],
    [5e12, '5.0 TB'],
    [-1, '–'],
  ])('%d is %s', (n, text) => expect(bytes(n)).toBe(text))
})

describe('countdown', () => {
  it.each([
    [604_799.4, '6 d 23:59:59'],
    [3600, '01:00:00'],
    [-5, '00:00:00'],
  ])('%d is %s', (n, text) => expect(countdown(n)).toBe(text))
})

describe('duration', () => {
  it.each([
    [0.25, '250 ms'],
    [59, '59 s'],
    [60, '1 min'],
    [3661, '1 h 1 min'],
    [86400, '1 d'],
    [86403, '1 d'],
    [604800, '7 d'],
  ])('%d s is %s', (n, text) => expect(duration(n)).toBe(text))
})

describe('ago', () => {
  const now = new Date('2026-11-21T12:00:00Z')
  it.each([
    ['2026-11-21T11:59:58Z', 'just now'],
    ['2026-11-21T11:59:00Z', '1 min ago'],
    ['2026-11-19T12:00:00Z', '2 d ago'],
    ['2026-11-21T13:00:00Z', 'in 1 h'],
  ])('%s is %s', (then, text) => expect(ago(new Date(then), now)).toBe(text))
})

describe('other texts', () => {
  it('group the digits of large numbers', () => expect(count(1234567)).toBe('1\u202f234\u202f567'))
  it('write the zone of a moment', () =>
    expect(moment(new Date())).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d$/))
  it('make words of names', () => expect(words('create_project')).toBe('Create project'))
})
