import { useQuery } from '@tanstack/react-query'
import { queries } from '@/api/queries'
import type { Branch } from '@/api/types'

type Right = 'none' | 'read' | 'write' | 'admin'
const rank: Record<Right, number> = { none: 0, read: 1, write: 2, admin: 3 }
const roles: Record<string, Right> = { viewer: 'read', developer: 'write', admin: 'admin', owner: 'admin' }

export type Rights = { write: boolean; admin: boolean; owner: boolean; agent: boolean; known: boolean }

/**
 * What the one who looks may do on a project, so that nothing is offered that the server would refuse. The server decides: this
 * only says what it would say.
 */
export function useRights(project: string): Rights {
  const you = useQuery(queries.server()).data?.you
  const person = you?.person !== undefined && !you.admin
  const account = useQuery({ ...queries.account(), enabled: person }).data
  if (!you || (person && !account)) return { write: false, admin: false, owner: false, agent: false, known: false }
  const role = account?.places.find((p) => p.project === project)?.role
  const most: Right = person && account && !account.admin ? (roles[role ?? ''] ?? 'none') : 'admin'
  const right = rank[you.right] < rank[most] ? you.right : most
  const admin = rank[right] >= 3
  return {
    write: rank[right] >= 2,
    admin,
    owner: admin && (you.admin || role === 'owner'),
    agent: you.kind === 'agent',
    known: true,
  }
}

/** Whether the rows of a branch may be changed: production takes an admin and never an agent, a look nobody's change. */
export function mayChange(rights: Rights, branch: Branch): boolean {
  if (branch.look) return false
  return branch.environment === 'production' ? rights.admin && !rights.agent : rights.write
}
