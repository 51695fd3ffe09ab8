import { type QueryClient, queryOptions } from '@tanstack/react-query'
import { catalogueSQL, readTable } from '@/lib/table-sql'
import { queries } from './queries'
import { ask, rowsOf } from './sql'
import type { Branch } from './types'

/** The tables of a branch as its catalogue tells them. */
export const catalogueQuery = (branch: Branch) =>
  queryOptions({
    queryKey: ['tables', branch.id],
    staleTime: 60_000,
    queryFn: async ({ signal }) => {
      const where = { project: branch.project, branch: branch.name }
      const [result] = await ask(where, { sql: catalogueSQL, max_rows: 10_000 }, signal)
      return rowsOf(result).map(readTable)
    },
  })

/** Asks for a project before the screen that shows it is there. What goes wrong is said by the screen, which asks itself. */
export function askAhead(client: QueryClient, project: string): Promise<void> {
  return client.prefetchQuery({ ...queries.project(project), staleTime: 2_000 })
}

/** The same for the tables of a branch. */
export async function askTablesAhead(client: QueryClient, project: string, name: string): Promise<void> {
  await askAhead(client, project)
  const branch = client.getQueryData(queries.project(project).queryKey)?.branches.find((b) => b.name === name)
  if (branch) await client.prefetchQuery(catalogueQuery(branch))
}
