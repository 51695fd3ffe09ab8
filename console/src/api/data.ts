import { at, call, list, send } from './client'
import type { components } from './schema'
import type { Where } from './sql'

type Schemas = components['schemas']
export type RowEdit = Schemas['RowEdit']
export type SavedRows = Schemas['SavedRows']
export type RowConflict = Schemas['RowConflict']
export type SavedItem = Schemas['SavedItem']
export type SaveItem = Schemas['SaveItem']
export type Format = Schemas['SQLExport']['format']

const kept = (project: string, rest = '') => `/projects/${encodeURIComponent(project)}/saved${rest}`

/** Rows that are changed by hand, files of rows, and what a person keeps for a project. */
export const data = {
  /** Changes rows, as a whole or not at all. A trial says what would be done and changes nothing. */
  save: (where: Where, changes: RowEdit[], trial: boolean) =>
    call<SavedRows>('POST', at(where.project, where.branch, '/rows'), { body: { changes, dry_run: trial } }),
  /** Asks to edit; on production it holds for a while. */
  open: (where: Where) => call<Schemas['EditingAllowed']>('POST', at(where.project, where.branch, '/editing')),
  close: (where: Where) => call<void>('DELETE', at(where.project, where.branch, '/editing')),
  /** Hands the rows of a query to the browser as a file. */
  download: async (where: Where, sql: string, format: Format, name: string) => {
    const response = await send('POST', at(where.project, where.branch, '/sql/export'), {
      body: { sql, format },
      accept: '*/*',
    })
    const url = URL.createObjectURL(await response.blob())
    const link = document.createElement('a')
    link.href = url
    link.download = `${name.replaceAll(/[^\p{L}\p{N}._-]/gu, '_')}.${format}`
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 60_000)
  },
  kept: (project: string, signal?: AbortSignal) => list<SavedItem>(kept(project), signal),
  keep: (project: string, item: SaveItem) => call<SavedItem>('PUT', kept(project), { body: item }),
  forget: (project: string, id: string) => call<void>('DELETE', kept(project, `/${encodeURIComponent(id)}`)),
}
