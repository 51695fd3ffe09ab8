import { describe, expect, it } from 'vitest'
import { patternOf, patternsOf } from './patterns'

describe('patterns of tables', () => {
  it('quotes what SQL would fold', () => {
    expect(patternOf('public', 'orders')).toBe('public.orders')
    expect(patternOf('public', 'Odd "Name"')).toBe('public."Odd ""Name"""')
    expect(patternOf('public', 'a*')).toBe('public."a*"')
  })
  it('are read between commas and lines', () => {
    expect(patternsOf('orders, sales.*\n "a, b" ,')).toEqual(['orders', 'sales.*', '"a, b"'])
    expect(patternsOf(' ')).toEqual([])
  })
})
