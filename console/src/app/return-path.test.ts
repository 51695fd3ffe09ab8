import { describe, expect, it } from 'vitest'
import { safeReturnPath } from './return-path'

describe('the path to return to', () => {
  it.each(['/projects/shop', '/jobs/job_1?x=1'])('%s is taken', (path) => expect(safeReturnPath(path)).toBe(path))
  it.each([
    'https://evil.example/',
    '//evil.example/',
    '/\\evil.example/',
    '/\t/evil.example/',
    'javascript:alert(1)',
    '/login?to=/jobs',
    '/setup',
    undefined,
    7,
  ])('%s is not', (path) => expect(safeReturnPath(path)).toBe('/projects'))
})
