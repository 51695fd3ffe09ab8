import { describe, expect, it } from 'vitest'
import { momentText, readMoment } from './moment-text'

describe('the text of a moment', () => {
  it('comes apart and together without losing anything', () => {
    for (const text of [
      '2026-01-02',
      '2026-01-02 03:04:05',
      '2026-01-02 03:04:05.123456+05:30',
      '0001-01-01 00:00:00-00:44:30',
    ])
      expect(momentText(readMoment(text) ?? { date: '', time: '', zone: '' })).toBe(text)
  })
  it('may name its zone', () => {
    expect(momentText({ date: '2026-01-02', time: '03:04', zone: 'Europe/Berlin' })).toBe(
      '2026-01-02 03:04 Europe/Berlin',
    )
  })
  it('is no moment when fields cannot show it', () => {
    for (const text of ['infinity', '0044-03-15 BC', '12026-01-01', '']) expect(readMoment(text)).toBeNull()
  })
})
