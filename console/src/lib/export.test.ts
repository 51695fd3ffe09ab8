import { expect, it } from 'vitest'
import { csvOf, jsonOf } from './export'

it('writes CSV that PostgreSQL reads back', () => {
  expect(
    csvOf(
      ['a', 'b"c'],
      [
        [null, ''],
        ['x,y', 'line\nend'],
        ['12345678901234567890', ' s'],
      ],
    ),
  ).toBe('a,"b""c"\r\n,""\r\n"x,y","line\nend"\r\n12345678901234567890," s"\r\n')
})

it('writes JSON whose values are text', () => {
  expect(JSON.parse(jsonOf(['n', 'm'], [['12345678901234567890', null]]))).toEqual([
    { n: '12345678901234567890', m: null },
  ])
})
