import { describe, expect, it } from 'vitest'
import { KeySequence } from './shortcuts'

const known = ['?', 'c', 'g p', 'g j']

describe('a sequence of keys', () => {
  it('completes one after another', () => {
    const keys = new KeySequence()
    expect(keys.press('g', 0, known)).toBeNull()
    expect(keys.press('j', 300, known)).toBe('g j')
  })
  it('is forgotten when it takes too long', () => {
    const keys = new KeySequence()
    keys.press('g', 0, known)
    expect(keys.press('p', 5000, known)).toBeNull()
  })
  it('does not swallow a key that stands alone', () => {
    const keys = new KeySequence()
    keys.press('g', 0, known)
    expect(keys.press('c', 100, known)).toBe('c')
    expect(keys.press('?', 200, known)).toBe('?')
  })
})
