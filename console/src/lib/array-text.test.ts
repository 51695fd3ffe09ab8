import { describe, expect, it } from 'vitest'
import { arrayText, readArray } from './array-text'

describe('the text of an array', () => {
  it('is read as PostgreSQL writes it', () => {
    expect(readArray('{}')).toEqual([])
    expect(readArray('{a,NULL,"NULL","b \\"c\\\\,",""}')).toEqual(['a', null, 'NULL', 'b "c\\,', ''])
    expect(readArray('{12345678901234567890.10}')).toEqual(['12345678901234567890.10'])
  })
  it('is left alone when it has more dimensions, or is none', () => {
    for (const text of ['{{1,2},{3,4}}', '[0:1]={1,2}', 'x', '{"a"b}']) expect(readArray(text)).toBeNull()
  })
  it('comes out as it went in', () => {
    for (const elements of [[], ['a', null, 'null', '', ' b', 'c,d', '{e}', '"', '\\']])
      expect(readArray(arrayText(elements))).toEqual(elements)
  })
})
