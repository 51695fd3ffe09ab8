import type { Branch } from '@/api/types'
import { byImportance } from './branches'

/** Branches below those that they were copied from, with how deep each stands. What has lost its parent stands at the top. */
export function branchTree(all: readonly Branch[]): { branch: Branch; depth: number }[] {
  const known = new Set(all.map((b) => b.id))
  const out: { branch: Branch; depth: number }[] = []
  const add = (parent: string | undefined, depth: number) => {
    const children = all.filter((b) => (b.parent_id && known.has(b.parent_id) ? b.parent_id : undefined) === parent)
    for (const branch of byImportance(children)) {
      out.push({ branch, depth })
      add(branch.id, depth + 1)
    }
  }
  add(undefined, 0)
  return out
}
