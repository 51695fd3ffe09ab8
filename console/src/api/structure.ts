import { queryOptions } from '@tanstack/react-query'
import { at, call, list } from './client'
import type { components } from './schema'
import { ask, type Where } from './sql'
import type { Branch } from './types'

type Schemas = components['schemas']
export type TableSummary = Schemas['TableSummary']
export type TableStructure = Schemas['TableStructure']

/** What a branch's tables are made of. Tables are named as in SQL. */
export const structure = {
  tables: (where: Where, signal?: AbortSignal) =>
    list<TableSummary>(at(where.project, where.branch, '/tables'), signal),
  table: (where: Where, table: string, signal?: AbortSignal) =>
    call<TableStructure>('GET', at(where.project, where.branch, `/tables/${encodeURIComponent(table)}`), { signal }),
  sql: async (where: Where, table: string, signal?: AbortSignal) => {
    const path = at(where.project, where.branch, `/tables/${encodeURIComponent(table)}/sql`)
    return (await call<Schemas['SchemaDump']>('GET', path, { signal })).sql
  },
  /** Runs statements that change it. */
  change: (where: Where, sql: string) => ask(where, { sql, write: true, timeout_seconds: 600 }),
}

/** The tables of a branch; what is known of each lies below the same key, by its name. */
export const tablesQuery = (branch: Branch) =>
  queryOptions({
    queryKey: ['structure', branch.id],
    staleTime: 10_000,
    queryFn: ({ signal }) => structure.tables({ project: branch.project, branch: branch.name }, signal),
  })
