/** A step of a plan as EXPLAIN (FORMAT JSON) tells it. */
export type PlanNode = {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  Alias?: string
  'Total Cost': number
  'Plan Rows': number
  'Actual Total Time'?: number
  'Actual Rows'?: number
  'Actual Loops'?: number
  'Shared Hit Blocks'?: number
  'Shared Read Blocks'?: number
  Plans?: PlanNode[]
  [key: string]: unknown
}

export type Explained = { Plan: PlanNode; 'Execution Time'?: number; 'Planning Time'?: number }

export type Step = {
  depth: number
  title: string
  details: string[]
  rows: string
  time: number | null
  cost: number
  /** Of the whole, from 0 to 1: what this step took without those below it. */
  share: number
}

/** Reads what EXPLAIN (FORMAT JSON) answers; null when it is something else. */
export function readPlan(text: string): Explained | null {
  try {
    const read = JSON.parse(text)
    return Array.isArray(read) && read[0]?.Plan ? (read[0] as Explained) : null
  } catch {
    return null
  }
}

const told = ['Filter', 'Index Cond', 'Hash Cond', 'Merge Cond', 'Join Filter', 'Recheck Cond', 'Sort Key', 'Group Key']

function whole(node: PlanNode): number {
  const time = node['Actual Total Time']
  return time === undefined ? node['Total Cost'] : time * (node['Actual Loops'] ?? 1)
}

/** The steps of a plan from the top, each with its share of the whole. */
export function stepsOf(plan: Explained): Step[] {
  const all = Math.max(whole(plan.Plan), 1e-9)
  const out: Step[] = []
  const walk = (node: PlanNode, depth: number) => {
    const below = (node.Plans ?? []).reduce((sum, child) => sum + whole(child), 0)
    const loops = node['Actual Loops'] ?? 1
    const actual = node['Actual Rows']
    const place = node['Relation Name'] ?? ''
    const details = told.flatMap((key) => {
      const value = node[key]
      return value === undefined ? [] : [`${key}: ${Array.isArray(value) ? value.join(', ') : String(value)}`]
    })
    if (node['Index Name']) details.unshift(`Index: ${node['Index Name']}`)
    const hit = node['Shared Hit Blocks'] ?? 0
    const read = node['Shared Read Blocks'] ?? 0
    if (hit + read > 0) details.push(`Buffers: ${hit} from memory, ${read} read`)
    out.push({
      depth,
      title: place === '' ? node['Node Type'] : `${node['Node Type']} on ${place}`,
      details,
      rows:
        actual === undefined
          ? `about ${node['Plan Rows']}`
          : `${Math.round(actual * loops)} of ${node['Plan Rows'] * loops} expected`,
      time: node['Actual Total Time'] === undefined ? null : whole(node),
      cost: node['Total Cost'],
      share: Math.min(1, Math.max(0, (whole(node) - below) / all)),
    })
    for (const child of node.Plans ?? []) walk(child, depth + 1)
  }
  walk(plan.Plan, 0)
  return out
}
