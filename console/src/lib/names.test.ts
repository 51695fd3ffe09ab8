import { describe, expect, it } from 'vitest'
import { nameProblem } from './names'

describe('a name of a project', () => {
  it.each(['a', 'shop', 'shop-2', 'a'.repeat(20)])('%s is good', (name) => expect(nameProblem(name)).toBeNull())
  it.each(['', '2shop', 'shop-', 'my_shop', 'Shop', 'a'.repeat(21), '<b>'])('%s is not', (name) =>
    expect(nameProblem(name)).not.toBeNull(),
  )
})
