import { describe, expect, it } from 'vitest'
import { browserOf } from './browser'

describe('the name of a browser', () => {
  it('is the one that people know', () => {
    expect(browserOf('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36')).toBe(
      'Chrome on Linux',
    )
    expect(browserOf('Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1')).toBe(
      'Safari on iOS',
    )
    expect(browserOf('Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36 Edg/140.0')).toBe('Edge on Windows')
    expect(browserOf('curl/8.5.0')).toBe('curl/8.5.0')
    expect(browserOf('')).toBe('Unknown')
  })
})
