import { describe, expect, it } from 'vitest'
import { auditQuery, everything } from './audit'

describe('the question for entries', () => {
  it('holds what is wanted and nothing else', () => {
    expect(auditQuery(everything, 0, 100)).toBe('limit=100')
    const query = new URLSearchParams(
      auditQuery({ ...everything, actor: ' a&b ', since: '2026-11-21T10:00', until: 'nonsense' }, 7, 100),
    )
    expect(query.get('actor')).toBe('a&b')
    expect(query.get('before')).toBe('7')
    expect(query.get('since')).toBe(new Date('2026-11-21T10:00').toISOString())
    expect(query.has('until')).toBe(false)
  })
})
