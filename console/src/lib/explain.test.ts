import { expect, it } from 'vitest'
import { readPlan, stepsOf } from './explain'

const plan = JSON.stringify([
  {
    Plan: {
      'Node Type': 'Sort',
      'Total Cost': 20,
      'Plan Rows': 10,
      'Actual Total Time': 4,
      'Actual Rows': 12,
      'Actual Loops': 1,
      'Sort Key': ['id'],
      Plans: [
        {
          'Node Type': 'Seq Scan',
          'Relation Name': 'orders',
          'Total Cost': 15,
          'Plan Rows': 10,
          'Actual Total Time': 3,
          'Actual Rows': 12,
          'Actual Loops': 1,
          Filter: '(total > 5)',
        },
      ],
    },
    'Execution Time': 5,
  },
])

it('gives each step of a plan its own share of the time', () => {
  const read = readPlan(plan)
  expect(read).not.toBeNull()
  if (!read) return
  const steps = stepsOf(read)
  expect(steps.map((s) => [s.title, s.depth, s.share])).toEqual([
    ['Sort', 0, 0.25],
    ['Seq Scan on orders', 1, 0.75],
  ])
  expect(steps[1]?.details).toEqual(['Filter: (total > 5)'])
})

it('takes nothing else for a plan', () => {
  expect(readPlan('Seq Scan on orders')).toBeNull()
  expect(readPlan('[1]')).toBeNull()
})
