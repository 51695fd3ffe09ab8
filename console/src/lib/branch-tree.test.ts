import { expect, it } from 'vitest'
import type { Branch } from '@/api/types'
import { branchTree } from './branch-tree'

const branch = (id: string, environment: Branch['environment'], parent_id?: string) =>
  ({ id, name: id, environment, parent_id }) as Branch

it('puts each branch below the one that it was copied from', () => {
  const all = [
    branch('b', 'preview', 'a'),
    branch('lost', 'preview', 'gone'),
    branch('a', 'preview', 'production'),
    branch('production', 'production'),
    branch('development', 'development'),
  ]
  expect(branchTree(all).map((n) => `${n.depth} ${n.branch.id}`)).toEqual([
    '0 development',
    '0 production',
    '1 a',
    '2 b',
    '0 lost',
  ])
})
