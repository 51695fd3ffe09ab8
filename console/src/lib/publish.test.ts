import { describe, expect, it } from 'vitest'
import type { PlanStatement, PublishEvent } from '@/api/publish'
import { answerText, consentsOf, milliseconds, runsOf, transactionsOf } from './publish'

const statement = (group: number, transactional: boolean) =>
  ({ sql: '', object: '', description: '', class: 'safe', group, transactional }) as PlanStatement

describe('a plan', () => {
  it('is shown as what commits together', () => {
    const found = transactionsOf([statement(1, true), statement(1, true), statement(2, false), statement(2, false)])
    expect(found.map((t) => [t.together, t.steps.map((s) => s.number)])).toEqual([
      [true, [1, 2]],
      [false, [3]],
      [false, [4]],
    ])
  })

  it('keeps two transactions apart that follow each other', () => {
    expect(transactionsOf([statement(1, true), statement(2, true)])).toHaveLength(2)
  })

  it('has answers in words', () => {
    expect(answerText('rename:public.users.fullname=display_name')).toBe('fullname is now called display_name')
    expect(answerText('drop:public.users')).toBe('users is dropped')
    expect(answerText("fill:t.c='a=b'")).toBe("c is filled with 'a=b'")
    expect(answerText('whatever')).toBe('whatever')
  })
})

describe('a report', () => {
  it('asks for each consent once, with all its reasons', () => {
    const reasons = [
      { verdict: 'needs answer', code: 'a', text: 'one', allow: 'lossy' },
      { verdict: 'needs answer', code: 'b', text: 'two', allow: 'breaking' },
      { verdict: 'needs answer', code: 'c', text: 'three', allow: 'lossy' },
      { verdict: 'blocked', code: 'd', text: 'four' },
    ] as const
    expect(consentsOf({ reasons: [...reasons] })).toEqual([
      { allow: 'lossy', reasons: ['one', 'three'] },
      { allow: 'breaking', reasons: ['two'] },
    ])
    expect(consentsOf(undefined)).toEqual([])
  })

  it('says times as people do', () => {
    expect(milliseconds(0.26)).toBe('0.3 ms')
    expect(milliseconds(105.5)).toBe('106 ms')
    expect(milliseconds(1500)).toBe('2 s')
  })
})

describe('a log', () => {
  const event = (e: Partial<PublishEvent>) =>
    ({ at: '', phase: 'apply', kind: 'started', direction: 'forward', statement: 1, ...e }) as PublishEvent

  it('says how far each statement is in production', () => {
    const runs = runsOf([
      event({ phase: 'rehearsal', kind: 'done', measure: { time: 5, wal_bytes: 0 } }),
      event({ predicted: 12 }),
      event({ kind: 'retry', wait: 100 }),
      event({ kind: 'done', predicted: 12, measure: { time: 14, waited: 100, wal_bytes: 0 } }),
      event({ statement: 2 }),
      event({ statement: 0, kind: 'committed' }),
    ])
    expect(runs.get(1)).toEqual({ statement: 1, state: 'done', took: 14, predicted: 12, waited: 100 })
    expect(runs.get(2)?.state).toBe('running')
    expect(runs.size).toBe(2)
  })
})
