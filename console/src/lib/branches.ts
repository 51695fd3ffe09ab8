import type { Branch, Environment } from '@/api/types'

const rank: Record<Environment, number> = { development: 0, production: 1, preview: 2 }

/** Development, production, then the previews by name. */
export function byImportance(branches: readonly Branch[]): Branch[] {
  return [...branches].sort((a, b) => rank[a.environment] - rank[b.environment] || a.name.localeCompare(b.name))
}
